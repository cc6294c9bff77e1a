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
	"kasgen/internal/layout"
	"kasgen/internal/lockfile"
	"kasgen/internal/nginxconf"
	"kasgen/runtime/certs"
	"kasgen/runtime/certs/provision"
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
	Front Role = "front" // balancers and vhosts: haproxy.cfg, stream.conf, nginx.conf
	Edge  Role = "edge"
	Kas   Role = "kas"
	Certs Role = "certs" // certificates from a CA, where the edge does not obtain them itself
)

// roles lists every role.
func roles() []Role { return []Role{All, Front, Edge, Kas, Certs} }

// Files of a bundle.
const (
	haproxyFile = layout.HAProxy
	streamFile  = layout.Stream
	webFile     = layout.Web
	edgeFile    = layout.Edge
	kasFile     = layout.KAS
	certsFile   = layout.Certs
)

// front is what clients reach first, whichever file it came from.
type front interface {
	limited
	Binds() []string
	Files() []string
	AnyOf(names []string)
	Pairs() []certs.Served
}

// Bundle is a directory's files, read and understood.
type Bundle struct {
	Dir  string
	Lock *lockfile.File
	at   layout.Layout

	haproxy *haproxy.Config
	stream  *nginx.Config // a process of its own
	web     *nginx.Config // and another one, with vhosts and port 80
	edge    *edge.Config
	kas     *kas.Config
	certs   *provision.Config

	role     Role
	scratch  string            // directory of the real programs of the front; empty: the embedded ones
	data     map[string][]byte // the files that were read
	absent   []string          // files of the role that are not there
	subjects []diag.Subject    // every file that is there, read or not
	left     diag.Findings     // what of a machine is not run here
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
// Without a registry kas-config.yaml says where tunnels are kept.
func Read(dir string, role Role, registry ...Registry) (*Bundle, error) {
	var kasOptions []kas.Option
	for _, r := range registry {
		kasOptions = append(kasOptions, r.option())
	}
	b := &Bundle{Dir: dir, at: layout.Of(dir), role: role, data: map[string][]byte{}}
	var fs diag.Findings
	parse := func(name string, roles []Role, load func(path string, data []byte) error) error {
		path := b.at.Path(name)
		data, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			if slices.Contains(roles, role) {
				b.absent = append(b.absent, name)
			}
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
	every := roles()
	err := errors.Join(
		parse(lockfile.Name, every, func(path string, data []byte) (err error) { b.Lock, err = lockfile.Read(path, data); return }),
		parse(haproxyFile, []Role{All, Front}, func(path string, data []byte) (err error) { b.haproxy, err = haproxy.Load(path, data); return }),
		parse(streamFile, []Role{All, Front}, func(path string, data []byte) (err error) { b.stream, err = b.nginx(streamFile, path, data); return }),
		parse(webFile, []Role{All, Front}, func(path string, data []byte) (err error) { b.web, err = b.nginx(webFile, path, data); return }),
		parse(edgeFile, []Role{All, Edge}, func(path string, data []byte) (err error) { b.edge, err = edge.Load(path, data); return }),
		parse(kasFile, []Role{All, Kas}, func(path string, data []byte) (err error) { b.kas, err = kas.Load(path, data, kasOptions...); return }),
		// Who ends TLS asks it which certificates are obtained.
		parse(certsFile, []Role{All, Front, Edge, Certs}, func(path string, data []byte) (err error) { b.certs, err = provision.Load(path, data); return }),
	)
	if err != nil {
		return nil, err
	}
	fs = append(fs, b.strangers()...)
	fs.Sort()
	if err := fs.Err(); err != nil {
		return b, err
	}
	b.bound()
	b.named()
	return b, b.complete(role)
}

// bound gives a stop of the front an end where its files have none.
func (b *Bundle) bound() {
	limit, known := b.drain()
	if !known {
		return
	}
	if b.haproxy != nil {
		b.haproxy.Bound(limit)
	}
	for _, n := range []*nginx.Config{b.stream, b.web} {
		if n != nil {
			n.Bound(limit)
		}
	}
}

// named says which names certificates have to be for where a file does not.
func (b *Bundle) named() {
	for _, f := range b.fronts() {
		f.AnyOf(b.names())
	}
	if b.edge != nil {
		b.edge.AnyOf(b.names())
	}
}

// complete says what is missing of a bundle.
func (b *Bundle) complete(role Role) error {
	if _, err := os.Stat(b.Dir); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no directory %s: write a bundle with `kasgen render --topology=A -o %s`", b.Dir, b.Dir)
	}
	if b.Lock == nil {
		return fmt.Errorf("%s holds no %s: write a bundle with `kasgen render --topology=A -o %s`", b.Dir, lockfile.Name, b.Dir)
	}
	// A role whose file was lost would end in silence, streams and all.
	for _, e := range b.Lock.Files {
		if slices.Contains(b.absent, e.Path) {
			return fmt.Errorf("%s is not there, and %s lists it: render the bundle again, or bring it back with `kasgen rollback %s`", b.at.Path(e.Path), lockfile.Name, b.Dir)
		}
	}
	if len(b.fronts()) == 0 && b.edge == nil && b.kas == nil && !b.provisions() {
		return fmt.Errorf("%s holds no file for the role %s", b.Dir, role)
	}
	return nil
}

// Binds are the addresses that the bundle's roles open.
func (b *Bundle) Binds() []string {
	binds := b.frontBinds()
	if b.edge != nil {
		binds = append(binds, b.edge.Binds()...)
	}
	if b.kas != nil {
		binds = append(binds, b.kas.Binds()...)
	}
	if b.provisions() {
		binds = append(binds, b.certs.Binds()...)
	}
	return binds
}

// Files are the secrets and certificates that the roles read, as the files
// name them.
func (b *Bundle) Files() []string {
	var files []string
	for _, f := range b.fronts() {
		files = append(files, f.Files()...)
	}
	if b.edge != nil {
		files = append(files, b.edge.Files()...)
	}
	if b.kas != nil {
		files = append(files, b.kas.Files()...)
	}
	if b.provisions() {
		files = append(files, b.certs.Files()...)
	}
	slices.Sort(files)
	return slices.Compact(files)
}

// frontBinds are the addresses that the front opens.
func (b *Bundle) frontBinds() []string {
	var binds []string
	for _, f := range b.fronts() {
		binds = append(binds, f.Binds()...)
	}
	return binds
}

// fronts are what there is of it, balancers first.
func (b *Bundle) fronts() []front {
	var out []front
	if b.haproxy != nil {
		out = append(out, b.haproxy)
	}
	for _, c := range []*nginx.Config{b.stream, b.web} {
		if c != nil {
			out = append(out, c)
		}
	}
	return out
}

// nginx reads a file of nginx's and what it includes, which counts as a part
// of it.
func (b *Bundle) nginx(name, path string, data []byte) (*nginx.Config, error) {
	source := nginxSource(b.at, func(path string) ([]byte, error) {
		more, err := os.ReadFile(path)
		b.data[name] = append(b.data[name][:len(b.data[name]):len(b.data[name])], more...)
		return more, err
	})
	if name != webFile || !b.at.Machine() {
		return nginx.Load(path, data, source)
	}
	return b.ours(path, data, source)
}

// nginxSource is where includes are found.
func nginxSource(at layout.Layout, read func(path string) ([]byte, error)) nginxconf.Source {
	return nginxconf.Source{
		Glob:     func(pattern string) ([]string, error) { return filepath.Glob(at.Below(pattern)) },
		ReadFile: func(path string) ([]byte, error) { return read(at.Below(path)) },
	}
}

// Redirect is where a path under the bundle's state directory lies when state
// is used in its place; "" moves nothing.
func (b *Bundle) Redirect(path, state string) string {
	if rest, ok := strings.CutPrefix(path, strings.TrimSuffix(b.Lock.StateDir, "/")+"/"); ok && state != "" {
		return filepath.Join(state, rest)
	}
	return b.at.Below(path)
}

// Development are the files that may be made when they are missing, as far as
// the roles that were read need them.
func (b *Bundle) Development(stateDir string) []state.Item {
	tls := b.edge != nil || slices.ContainsFunc(b.fronts(), func(f front) bool { return len(f.Files()) > 0 })
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

// challengePort is where ACME challenges and redirects are answered, which is
// not where clients are served.
const challengePort = 80

// Entrance is the address in the files where clients connect: the front's, or
// the edge's where somebody else's balancer stands in front.
func (b *Bundle) Entrance() (string, bool) {
	binds := b.frontBinds()
	for _, address := range binds {
		if p, ok := port(address); ok && p != challengePort {
			return address, true
		}
	}
	if len(binds) > 0 {
		return binds[0], true
	}
	if b.edge != nil {
		return b.edge.Binds()[0], true
	}
	return "", false
}
