package kubelet

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
)

// image is what every container here is made of, the pause one too. No
// registry has it.
const image = "kasgen.invalid/guest:1"

// Media types of the OCI image specification.
const (
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	configType   = "application/vnd.oci.image.config.v1+json"
	layerType    = "application/vnd.oci.image.layer.v1.tar"
)

// applets are what kubectl and its users call in a container.
func applets() []string {
	return []string{"cat", "echo", "head", "ls", "sh", "sha256sum", "sleep", "stty", "tar", "test", "true"}
}

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// writeImage writes the image as an archive in OCI's layout: guest's program as
// what runs unless told otherwise, and busybox's.
func writeImage(path, guest, busybox string) (err error) {
	layer, err := layerOf(guest, busybox)
	if err != nil {
		return err
	}
	blobs := map[string][]byte{}
	add := func(mediaType string, content []byte) descriptor {
		sum := sha256.Sum256(content)
		digest := hex.EncodeToString(sum[:])
		blobs["blobs/sha256/"+digest] = content
		return descriptor{MediaType: mediaType, Digest: "sha256:" + digest, Size: len(content)}
	}
	layerAt := add(layerType, layer)
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux",
		"config": map[string]any{"Entrypoint": []string{"/guest", "pause"}, "Env": []string{"PATH=/bin"}, "WorkingDir": "/tmp"},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{layerAt.Digest}},
	})
	if err != nil {
		return err
	}
	manifest, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": manifestType,
		"config": add(configType, config), "layers": []descriptor{layerAt}})
	if err != nil {
		return err
	}
	named := add(manifestType, manifest)
	named.Annotations = map[string]string{"io.containerd.image.name": image, "org.opencontainers.image.ref.name": image[strings.LastIndexByte(image, ':')+1:]}
	index, err := json.Marshal(map[string]any{"schemaVersion": 2, "manifests": []descriptor{named}})
	if err != nil {
		return err
	}
	blobs["oci-layout"] = []byte(`{"imageLayoutVersion":"1.0.0"}`)
	blobs["index.json"] = index
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, name := range slices.Sorted(maps.Keys(blobs)) {
		if err := file(w, name, 0o644, blobs[name]); err != nil {
			return err
		}
	}
	if err := w.Close(); err != nil {
		return err
	}
	return os.WriteFile(path, archive.Bytes(), 0o600)
}

// layerOf is the whole file system.
func layerOf(guest, busybox string) ([]byte, error) {
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for _, dir := range []tar.Header{{Name: "bin/", Mode: 0o755}, {Name: "tmp/", Mode: 0o1777}} {
		dir.Typeflag = tar.TypeDir
		if err := w.WriteHeader(&dir); err != nil {
			return nil, err
		}
	}
	for _, program := range []struct{ name, path string }{{"guest", guest}, {"bin/busybox", busybox}} {
		content, err := os.ReadFile(program.path)
		if err != nil {
			return nil, fmt.Errorf("making an image: %w", err)
		}
		if err := file(w, program.name, 0o755, content); err != nil {
			return nil, err
		}
	}
	for _, name := range applets() {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + name, Linkname: "busybox", Mode: 0o777}); err != nil {
			return nil, err
		}
	}
	return layer.Bytes(), w.Close()
}

func file(w *tar.Writer, name string, mode int64, content []byte) error {
	if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: mode, Size: int64(len(content))}); err != nil {
		return err
	}
	_, err := io.Copy(w, bytes.NewReader(content))
	return err
}
