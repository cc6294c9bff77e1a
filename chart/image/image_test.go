package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

func write(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	binary := filepath.Join(dir, "kasgen")
	if err := os.WriteFile(binary, []byte("a binary"), 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "deep", "image.tar")
	err := Write(out, Options{Binaries: map[string]string{"arm64": binary, "amd64": binary}, Version: "1.2.3", Revision: "abc", Created: time.Unix(1_700_000_000, 0)})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestWrite unpacks an archive and reads it as a registry's client does.
func TestWrite(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	unpack(t, write(t), dir)
	path, err := layout.FromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	top, err := path.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	m, err := top.IndexManifest()
	if err != nil || len(m.Manifests) != 1 || m.Manifests[0].Annotations["org.opencontainers.image.ref.name"] != "1.2.3" {
		t.Fatalf("%+v, %v", m, err)
	}
	index, err := top.ImageIndex(m.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	images, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var arches []string
	for _, d := range images.Manifests {
		arches = append(arches, d.Platform.String())
		img, err := index.Image(d.Digest)
		if err != nil {
			t.Fatal(err)
		}
		file, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if file.Config.User != "65532:65532" || file.Architecture != d.Platform.Architecture || file.OS != "linux" {
			t.Errorf("%+v", file)
		}
		if diff := cmp.Diff([]string{"/usr/local/bin/kasgen"}, file.Config.Entrypoint); diff != "" {
			t.Error(diff)
		}
		for label, want := range map[string]string{"version": "1.2.3", "revision": "abc", "licenses": "MIT", "created": "2023-11-14T22:13:20Z"} {
			if got := file.Config.Labels["org.opencontainers.image."+label]; got != want {
				t.Errorf("%s is %q", label, got)
			}
		}
		layers, err := img.Layers()
		if err != nil || len(layers) != 1 {
			t.Fatalf("%d layers, %v", len(layers), err)
		}
		content, err := layers[0].Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		files := entries(t, content)
		content.Close()
		if h := files["usr/local/bin/kasgen"]; h == nil || h.Mode != 0o755 || h.Uid != 0 {
			t.Errorf("the binary: %+v", h)
		}
		if h := files["var/lib/kasgen/"]; h == nil || h.Mode != 0o750 || h.Uid != User || h.Gid != User {
			t.Errorf("the state directory: %+v", h)
		}
	}
	if diff := cmp.Diff([]string{"linux/amd64", "linux/arm64"}, arches); diff != "" {
		t.Error(diff)
	}
}

// TestRepeatable makes the same image twice.
func TestRepeatable(t *testing.T) {
	t.Parallel()
	one, err := os.ReadFile(write(t))
	if err != nil {
		t.Fatal(err)
	}
	two, err := os.ReadFile(write(t))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(one, two) {
		t.Error("two builds of the same differ")
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	if err := Write(filepath.Join(t.TempDir(), "x.tar"), Options{}); err == nil {
		t.Error("an image without a binary was written")
	}
	if err := Write(filepath.Join(t.TempDir(), "x.tar"), Options{Binaries: map[string]string{"amd64": "/nowhere/kasgen"}}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a binary that is not there: %v", err)
	}
}

func entries(t *testing.T, r io.Reader) map[string]*tar.Header {
	t.Helper()
	all := map[string]*tar.Header{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all[h.Name] = h
	}
}

func unpack(t *testing.T, path, dir string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for tr := tar.NewReader(f); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		to := filepath.Join(dir, filepath.Clean("/"+h.Name))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
