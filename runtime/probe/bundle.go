package probe

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"kasgen/internal/diag"
	"kasgen/internal/edgeconf"
	"kasgen/internal/haproxyconf"
	"kasgen/internal/kasconf"
	"kasgen/internal/lockfile"
	"kasgen/internal/nginxconf"
	"kasgen/internal/strictyaml"
)

// Bundle is the files of a bundle that can be to blame, each nil where there
// is none.
type Bundle struct {
	lock    *lockfile.File  // manifest
	web     *nginxconf.File // vhosts
	stream  *nginxconf.File // TCP balancer
	haproxy *haproxyconf.File
	edge    *edgeconf.File
	edgeAt  *strictyaml.Doc
	kas     *kasconf.File
	kasAt   *strictyaml.Doc
	changed map[string]bool // paths of files that are not as kasgen wrote them
	written map[string]bool // of those that are
}

// ReadBundle reads the files of a bundle, as far as they are there. They are
// not judged: faults in what they mean are what a probe is for.
func ReadBundle(dir string) (*Bundle, error) {
	b, found := &Bundle{changed: map[string]bool{}, written: map[string]bool{}}, 0
	read := func(name string, parse func(path string, data []byte) error) error {
		path := filepath.Join(dir, name)
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			err = parse(path, data)
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", path, err)
		}
		found++
		if b.lock != nil {
			i := slices.IndexFunc(b.lock.Files, func(f lockfile.Entry) bool { return f.Path == name })
			same := i >= 0 && b.lock.Files[i].SHA256 == lockfile.Digest(data)
			b.changed[path], b.written[path] = i >= 0 && !same, same
		}
		return nil
	}
	err := errors.Join(
		read(lockfile.Name, func(path string, data []byte) (err error) { b.lock, err = lockfile.Read(path, data); return }),
		read("nginx/nginx.conf", func(path string, data []byte) (err error) { b.web, err = parseNginx(path, data); return }),
		read("nginx/stream.conf", func(path string, data []byte) (err error) { b.stream, err = parseNginx(path, data); return }),
		read("haproxy/haproxy.cfg", func(path string, data []byte) (err error) {
			b.haproxy, err = haproxyconf.Parse(path, data)
			return
		}),
		read("edge/edge.yaml", func(path string, data []byte) (err error) {
			b.edge = &edgeconf.File{}
			var found diag.Findings
			b.edgeAt, found = strictyaml.Decode(path, data, b.edge)
			return found.Err()
		}),
		read("kas/kas-config.yaml", func(path string, data []byte) (err error) {
			b.kas = &kasconf.File{}
			b.kasAt, _ = strictyaml.Decode(path, data, b.kas) // keys of a newer kas are not to blame
			return nil
		}),
	)
	if b.lock != nil {
		found-- // by itself it is no file that can be to blame
	}
	if err == nil && found == 0 {
		err = fmt.Errorf("%s holds no file of a bundle", dir)
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// parseNginx reads a file with what it includes.
func parseNginx(path string, data []byte) (*nginxconf.File, error) {
	f, err := nginxconf.Parse(path, data)
	if err != nil {
		return nil, err
	}
	f, found := f.Expand(nginxconf.Source{ReadFile: os.ReadFile, Glob: filepath.Glob})
	return f, found.Err()
}
