// Package image makes the container image of kasgen, for the edge in a cluster:
// one static binary, a user without rights and a directory that is its own, on
// top of nothing. It needs no container daemon and knows no registry. Its law:
// the same binaries give the same bytes.
package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// User and group of the process: a number, since Kubernetes cannot tell whether
// a name is root.
const User = 65532

// StateDir is the only place where the process may write.
const StateDir = "/var/lib/kasgen"

// binaryPath is kasgen in the image.
const binaryPath = "/usr/local/bin/kasgen"

// Options say what an image is made of.
type Options struct {
	// Binaries are static ones for Linux, by architecture as Go names it.
	Binaries map[string]string
	Version  string
	Revision string    // of the source; empty: not told
	Created  time.Time // of the source, so that a build can be repeated
}

// Write writes an OCI image layout as one tar file, as `ctr image import`,
// `podman load` and `skopeo copy oci-archive:` read it. The name in it is
// kasgen:VERSION.
func Write(path string, o Options) (err error) {
	if len(o.Binaries) == 0 {
		return errors.New("an image needs a binary")
	}
	dir, err := os.MkdirTemp("", "kasgen-image-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	index, err := o.index()
	if err != nil {
		return err
	}
	at, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	name := map[string]string{
		"org.opencontainers.image.ref.name": o.Version,
		"io.containerd.image.name":          "docker.io/library/kasgen:" + o.Version,
	}
	if err := at.AppendIndex(index, layout.WithAnnotations(name)); err != nil {
		return err
	}
	return pack(path, dir, o.Created)
}

// index has an image for each architecture.
func (o Options) index() (v1.ImageIndex, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	var arches []string
	for arch := range o.Binaries {
		arches = append(arches, arch)
	}
	slices.Sort(arches)
	for _, arch := range arches {
		img, err := o.image(arch)
		if err != nil {
			return nil, fmt.Errorf("the image for %s: %w", arch, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{
			MediaType: types.OCIManifestSchema1, Platform: &v1.Platform{OS: "linux", Architecture: arch}}})
	}
	return index, nil
}

func (o Options) image(arch string) (v1.Image, error) {
	content, err := o.content(o.Binaries[arch])
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil },
		tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if img, err = mutate.Append(img, mutate.Addendum{Layer: layer, MediaType: types.OCILayer,
		History: v1.History{Created: v1.Time{Time: o.Created}, CreatedBy: "kasgen " + o.Version}}); err != nil {
		return nil, err
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Created = "linux", arch, v1.Time{Time: o.Created}
	file.Config = v1.Config{
		User: fmt.Sprintf("%d:%d", User, User), Entrypoint: []string{binaryPath}, WorkingDir: StateDir,
		Labels: o.labels(), StopSignal: "SIGTERM",
	}
	return mutate.ConfigFile(img, file)
}

// labels are what tools that list an image's parts look for; the modules inside
// the binary are in its own build information.
func (o Options) labels() map[string]string {
	labels := map[string]string{
		"org.opencontainers.image.title":       "kasgen",
		"org.opencontainers.image.description": "The edge in front of GitLab's agent server for Kubernetes",
		"org.opencontainers.image.version":     o.Version,
		"org.opencontainers.image.licenses":    "MIT",
		"org.opencontainers.image.base.name":   "scratch",
		"org.opencontainers.image.created":     o.Created.UTC().Format(time.RFC3339),
	}
	if o.Revision != "" {
		labels["org.opencontainers.image.revision"] = o.Revision
	}
	return labels
}

// content is the image's one layer.
func (o Options) content(binary string) ([]byte, error) {
	data, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	add := func(h tar.Header, data []byte) {
		h.ModTime, h.Size, h.Format = o.Created, int64(len(data)), tar.FormatPAX
		if e := w.WriteHeader(&h); err == nil {
			err = e
		}
		if _, e := w.Write(data); err == nil {
			err = e
		}
	}
	for _, dir := range []string{"etc/", "tmp/", "usr/", "usr/local/", "usr/local/bin/", "var/", "var/lib/"} {
		mode := int64(0o755)
		if dir == "tmp/" {
			mode = 0o1777
		}
		add(tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: mode}, nil)
	}
	add(tar.Header{Typeflag: tar.TypeDir, Name: StateDir[1:] + "/", Mode: 0o750, Uid: User, Gid: User}, nil)
	add(tar.Header{Typeflag: tar.TypeReg, Name: "etc/passwd", Mode: 0o644}, fmt.Appendf(nil, "kasgen:x:%d:%d::%s:/sbin/nologin\n", User, User, StateDir))
	add(tar.Header{Typeflag: tar.TypeReg, Name: "etc/group", Mode: 0o644}, fmt.Appendf(nil, "kasgen:x:%d:\n", User))
	add(tar.Header{Typeflag: tar.TypeReg, Name: binaryPath[1:], Mode: 0o755}, data)
	return out.Bytes(), errors.Join(err, w.Close())
}

// pack makes one tar file of a directory.
func pack(path, dir string, at time.Time) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	w := tar.NewWriter(out)
	err = filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		h := tar.Header{Typeflag: tar.TypeReg, Name: filepath.ToSlash(name), Mode: 0o644, Size: int64(len(data)), ModTime: at}
		if err := w.WriteHeader(&h); err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	})
	return errors.Join(err, w.Close(), out.Close())
}
