// Package runtime runs a bundle: it reads the files of a directory as the
// programs that they are written for do, and is those programs. It knows
// neither spec nor topology. Its law: the files decide; what a file asks for
// and this does not do is refused before a socket opens.
package runtime

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kasgen/internal/diag"
	"kasgen/internal/lockfile"
	"kasgen/runtime/edge"
	"kasgen/runtime/haproxy"
	"kasgen/runtime/kas"
	"kasgen/runtime/nginx"
	"kasgen/runtime/state"
)

// Role is a part of a bundle that runs by itself.
type Role string

// The roles. All is every one that the bundle has a file for.
const (
	All   Role = "all"
	Front Role = "front" // the TCP balancer: haproxy.cfg or stream.conf
	Edge  Role = "edge"
	Kas   Role = "kas"
)

// Files of a bundle.
const (
	haproxyFile = "haproxy/haproxy.cfg"
	streamFile  = "nginx/stream.conf"
	edgeFile    = "edge/edge.yaml"
	kasFile     = "kas/kas-config.yaml"
)

// front is a TCP balancer, whichever file it came from.
type front interface {
	Binds() []string
	Files() []string
}

// Bundle is a directory's files, read and understood.
type Bundle struct {
	Dir  string
	Lock *lockfile.File

	haproxy *haproxy.Config
	nginx   *nginx.Config
	edge    *edge.Config
	kas     *kas.Config

	data     map[string][]byte // the files that were read
	subjects []diag.Subject    // every file that is there, read or not
}

// Subjects are the files of the bundle that were looked at or skipped, none of
// a bundle that is nil.
func (b *Bundle) Subjects() []diag.Subject {
	if b == nil {
		return nil
	}
	return b.subjects
}

// Read reads the files that role needs. Faults in any of them are a
// diag.Findings with all of them; the bundle then only knows its Subjects.
func Read(dir string, role Role) (*Bundle, error) {
	b := &Bundle{Dir: dir, data: map[string][]byte{}}
	var fs diag.Findings
	parse := func(name string, roles []Role, load func(path string, data []byte) error) error {
		path := filepath.Join(dir, name)
		data, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if !slices.Contains(roles, role) && err == nil {
			b.subjects = append(b.subjects, diag.Subject{Name: path, Skipped: fmt.Sprintf("the role %s does not read it", role)})
			return nil
		}
		b.subjects = append(b.subjects, diag.Subject{Name: path})
		if err != nil {
			return fmt.Errorf("reading the bundle: %w", err)
		}
		b.data[name] = data
		if err := load(path, data); err != nil {
			var found diag.Findings
			if !errors.As(err, &found) {
				return fmt.Errorf("%s: %w", path, err)
			}
			fs = append(fs, found...)
		}
		return nil
	}
	every := []Role{All, Front, Edge, Kas}
	err := errors.Join(
		parse(lockfile.Name, every, func(path string, data []byte) (err error) { b.Lock, err = lockfile.Read(path, data); return }),
		parse(haproxyFile, []Role{All, Front}, func(path string, data []byte) (err error) { b.haproxy, err = haproxy.Load(path, data); return }),
		parse(streamFile, []Role{All, Front}, func(path string, data []byte) (err error) { b.nginx, err = nginx.Load(path, data); return }),
		parse(edgeFile, []Role{All, Edge}, func(path string, data []byte) (err error) { b.edge, err = edge.Load(path, data); return }),
		parse(kasFile, []Role{All, Kas}, func(path string, data []byte) (err error) { b.kas, err = kas.Load(path, data); return }),
	)
	if err != nil {
		return nil, err
	}
	fs.Sort()
	if err := fs.Err(); err != nil {
		return b, err
	}
	return b, b.complete(role)
}

// complete says what is missing of a bundle.
func (b *Bundle) complete(role Role) error {
	if _, err := os.Stat(b.Dir); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no directory %s: write a bundle with `kasgen render --topology=A -o %s`", b.Dir, b.Dir)
	}
	if b.Lock == nil {
		return fmt.Errorf("%s holds no %s: write a bundle with `kasgen render --topology=A -o %s`", b.Dir, lockfile.Name, b.Dir)
	}
	if b.haproxy == nil && b.nginx == nil && b.edge == nil && b.kas == nil {
		return fmt.Errorf("%s holds no file for the role %s", b.Dir, role)
	}
	return nil
}

// Binds are the addresses that the bundle's roles open.
func (b *Bundle) Binds() []string {
	var binds []string
	if f := b.front(); f != nil {
		binds = append(binds, f.Binds()...)
	}
	if b.edge != nil {
		binds = append(binds, b.edge.Binds()...)
	}
	if b.kas != nil {
		binds = append(binds, b.kas.Binds()...)
	}
	return binds
}

// Files are the secrets and certificates that the roles read, as the files
// name them.
func (b *Bundle) Files() []string {
	var files []string
	if f := b.front(); f != nil {
		files = append(files, f.Files()...)
	}
	if b.edge != nil {
		files = append(files, b.edge.Files()...)
	}
	if b.kas != nil {
		files = append(files, b.kas.Files()...)
	}
	slices.Sort(files)
	return slices.Compact(files)
}

// frontBinds are the addresses that the front opens.
func (b *Bundle) frontBinds() []string {
	if f := b.front(); f != nil {
		return f.Binds()
	}
	return nil
}

func (b *Bundle) front() front {
	switch {
	case b.haproxy != nil:
		return b.haproxy
	case b.nginx != nil:
		return b.nginx
	default:
		return nil
	}
}

// Redirect is where a path under the bundle's state directory lies when state
// is used in its place; "" moves nothing.
func (b *Bundle) Redirect(path, state string) string {
	if state == "" {
		return path
	}
	rest, ok := strings.CutPrefix(path, strings.TrimSuffix(b.Lock.StateDir, "/")+"/")
	if !ok {
		return path
	}
	return filepath.Join(state, rest)
}

// Development are the files that may be made when they are missing, as far as
// the roles that were read need them.
func (b *Bundle) Development(stateDir string) []state.Item {
	f := b.front()
	tls := b.edge != nil || f != nil && len(f.Files()) > 0
	var items []state.Item
	for _, d := range b.Lock.Development {
		kind := state.Kind(d.Kind)
		if ofTLS := kind == state.CA || kind == state.Certificate; ofTLS && !tls || !ofTLS && b.kas == nil {
			continue
		}
		items = append(items, state.Item{Path: b.Redirect(d.Path, stateDir), Kind: kind, Names: d.Names})
	}
	return items
}

// Kas is the bundle's kas-config.yaml, nil if the role has none.
func (b *Bundle) Kas() *kas.Config { return b.kas }

// Edge is the bundle's edge.yaml, nil if the role has none.
func (b *Bundle) Edge() *edge.Config { return b.edge }

// Entrance is the address in the files where clients connect: the front's, or
// the edge's where somebody else's balancer stands in front.
func (b *Bundle) Entrance() (string, bool) {
	if f := b.front(); f != nil && len(f.Binds()) > 0 {
		return f.Binds()[0], true
	}
	if b.edge != nil {
		return b.edge.Binds()[0], true
	}
	return "", false
}
