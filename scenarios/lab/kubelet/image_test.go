package kubelet

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// untar is what an archive holds: the content of files, "/" for a directory,
// "-> TARGET" for a link.
func untar(t *testing.T, archive []byte) map[string]string {
	t.Helper()
	files := map[string]string{}
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		switch h.Typeflag {
		case tar.TypeDir:
			files[h.Name] = "/"
		case tar.TypeSymlink:
			files[h.Name] = "-> " + h.Linkname
		default:
			files[h.Name] = string(content)
		}
	}
}

// blob reads what a descriptor names, and holds it to it.
func blob(t *testing.T, files map[string]string, d descriptor, into any) []byte {
	t.Helper()
	content := []byte(files["blobs/sha256/"+strings.TrimPrefix(d.Digest, "sha256:")])
	if sum := sha256.Sum256(content); "sha256:"+hex.EncodeToString(sum[:]) != d.Digest || len(content) != d.Size {
		t.Fatalf("%+v names other content, of %d bytes", d, len(content))
	}
	if into != nil {
		if err := json.Unmarshal(content, into); err != nil {
			t.Fatal(err)
		}
	}
	return content
}

func TestImage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, content := range map[string]string{"guest": "a guest", "busybox": "a box"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var archives [][]byte
	for _, name := range []string{"first", "second"} {
		path := filepath.Join(dir, name)
		if err := writeImage(path, filepath.Join(dir, "guest"), filepath.Join(dir, "busybox")); err != nil {
			t.Fatal(err)
		}
		archive, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		archives = append(archives, archive)
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("the same image is not the same bytes")
	}
	files := untar(t, archives[0])
	var index struct{ Manifests []descriptor }
	if err := json.Unmarshal([]byte(files["index.json"]), &index); err != nil {
		t.Fatal(err)
	}
	if got := index.Manifests[0].Annotations["io.containerd.image.name"]; got != image {
		t.Errorf("the image is named %q", got)
	}
	var manifest struct {
		Config descriptor
		Layers []descriptor
	}
	blob(t, files, index.Manifests[0], &manifest)
	var config struct {
		Rootfs struct {
			DiffIDs []string `json:"diff_ids"`
		}
	}
	blob(t, files, manifest.Config, &config)
	if d := cmp.Diff([]string{manifest.Layers[0].Digest}, config.Rootfs.DiffIDs); d != "" {
		t.Error(d)
	}
	want := map[string]string{"bin/": "/", "tmp/": "/", "guest": "a guest", "bin/busybox": "a box"}
	for _, name := range applets() {
		want["bin/"+name] = "-> busybox"
	}
	if d := cmp.Diff(want, untar(t, blob(t, files, manifest.Layers[0], nil))); d != "" {
		t.Error(d)
	}
	if err := writeImage(filepath.Join(dir, "third"), filepath.Join(dir, "none"), filepath.Join(dir, "busybox")); err == nil {
		t.Error("an image without its program")
	}
}
