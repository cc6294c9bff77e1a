// Package layout owns where the files of a topology lie: in a bundle, or on a
// machine on which GitLab's Omnibus package has written some of them and kasgen
// the others. It reads none of them. Its law: a machine may be a folder that
// stands for one, and no path that a file of it names leads out of the folder.
package layout

import (
	"os"
	"path/filepath"
	"strings"

	"kasgen/internal/lockfile"
)

// The files of a bundle, by their names in it.
const (
	HAProxy = "haproxy/haproxy.cfg"
	Stream  = "nginx/stream.conf"
	Web     = "nginx/nginx.conf"
	Edge    = "edge/edge.yaml"
	KAS     = "kas/kas-config.yaml"
	Certs   = "certs/certs.yaml"
)

// Where a machine with Omnibus has its files.
const (
	bundle = "etc/gitlab/kasgen"
	web    = "var/opt/gitlab/nginx/conf/nginx.conf"
	kas    = "var/opt/gitlab/gitlab-kas/gitlab-kas-config.yml"
	nginx  = "opt/gitlab/embedded/sbin/nginx"
)

// Layout is a directory, of one kind or the other.
type Layout struct {
	Dir     string
	machine bool
}

// Of looks at dir: it is a machine if it is no bundle and has one where kasgen
// puts it there.
func Of(dir string) Layout {
	l := Layout{Dir: dir}
	if !exists(filepath.Join(dir, lockfile.Name)) {
		l.machine = exists(filepath.Join(dir, bundle, lockfile.Name))
	}
	return l
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Machine says whether Omnibus writes some of the files: nginx's, with GitLab's
// own vhosts, and kas's.
func (l Layout) Machine() bool { return l.machine }

// Path is where a file of a bundle is, by its name there.
func (l Layout) Path(name string) string {
	if !l.machine {
		return filepath.Join(l.Dir, name)
	}
	switch name {
	case Web:
		return filepath.Join(l.Dir, web)
	case KAS:
		return filepath.Join(l.Dir, kas)
	default:
		return filepath.Join(l.Dir, bundle, name)
	}
}

// Nginx is GitLab's own nginx, which has modules that others lack; empty where it
// is not there.
func (l Layout) Nginx() string {
	if path := filepath.Join(l.Dir, nginx); l.machine && exists(path) {
		return path
	}
	return ""
}

// Below is where an absolute path is that a file names. One that names the
// folder already stays what it is.
func (l Layout) Below(path string) string {
	if !l.machine || !filepath.IsAbs(path) {
		return path
	}
	dir := filepath.Clean(l.Dir)
	if abs, err := filepath.Abs(dir); err == nil && dir != "/" && (path == abs || strings.HasPrefix(path, abs+"/")) {
		return path
	}
	return filepath.Join(dir, path)
}
