package probe

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"kasgen/internal/edgeconf"
	"kasgen/internal/haproxyconf"
	"kasgen/internal/kasconf"
	"kasgen/internal/nginxconf"
)

// Bundle is the files of a bundle that can be to blame, each nil where there
// is none.
type Bundle struct {
	web     *nginxconf.File // vhosts
	stream  *nginxconf.File // TCP balancer
	haproxy *haproxyconf.File
	edge    *edgeconf.File
	edgeAt  places
	kas     *kasconf.File
	kasAt   kasconf.Places
}

// ReadBundle reads the files of a bundle, as far as they are there. They are
// not judged: faults in what they mean are what a probe is for.
func ReadBundle(dir string) (*Bundle, error) {
	b, found := &Bundle{}, 0
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
		return nil
	}
	err := errors.Join(
		read("nginx/nginx.conf", func(path string, data []byte) (err error) { b.web, err = parseNginx(path, data); return }),
		read("nginx/stream.conf", func(path string, data []byte) (err error) { b.stream, err = parseNginx(path, data); return }),
		read("haproxy/haproxy.cfg", func(path string, data []byte) (err error) {
			b.haproxy, err = haproxyconf.Parse(path, data)
			return
		}),
		read("edge/edge.yaml", func(path string, data []byte) (err error) {
			b.edgeAt = lines(path, data)
			b.edge, err = edgeconf.Read(path, data)
			return
		}),
		read("kas/kas-config.yaml", func(path string, data []byte) (err error) {
			b.kas, b.kasAt, _, err = kasconf.ReadPlaced(kasconf.Source{Name: path, Data: data})
			return
		}),
	)
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

func (b *Bundle) blame(*Check, *endpoint, *session) {}

type places struct{}

func lines(string, []byte) places { return places{} }
