// Package native runs the real nginx and HAProxy on the files of a bundle, as
// child processes. It owns how they are found, checked, started, reloaded and
// ended, and knows nothing of what is in the files beyond the addresses that
// they listen on. Its law: the file is given to the program as it is, and no
// process outlives the one that started it.
package native

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Kind is a program.
type Kind string

// The programs.
const (
	Nginx   Kind = "nginx"
	HAProxy Kind = "haproxy"
)

// Config is a file and the program that it is for.
type Config struct {
	Kind   Kind
	Path   string
	Binds  []string // where the program will listen: host:port
	Stream bool     // nginx needs its stream module
	Binary string   // empty: whichever is installed
}

// Program is a Config whose program was found.
type Program struct {
	Config
	binary   string
	dir      string // working directory and prefix
	attached bool   // its file says itself that it stays in the foreground
}

// ErrMissing says that a program is not installed.
var ErrMissing = errors.New("is not installed")

// places are where Debian puts daemons, which are often not in a user's PATH.
var places = [...]string{"/usr/sbin", "/usr/local/sbin", "/sbin"}

// Find looks for the program of c; dir is a directory of its own.
func Find(c Config, dir string) (*Program, error) {
	binary, err := exec.LookPath(cmp.Or(c.Binary, string(c.Kind)))
	for _, p := range places {
		if err == nil {
			break
		}
		binary, err = exec.LookPath(filepath.Join(p, string(c.Kind)))
	}
	if err != nil {
		return nil, fmt.Errorf("%s, which %s is for, %w: install the Debian package %s", c.Kind, c.Path, ErrMissing, strings.Join(packages(c), " and "))
	}
	path, err := filepath.Abs(c.Path)
	if err != nil {
		return nil, err
	}
	c.Path = path
	return &Program{Config: c, binary: binary, dir: dir}, nil
}

func packages(c Config) []string {
	if c.Stream {
		return []string{string(c.Kind), "libnginx-mod-stream"}
	}
	return []string{string(c.Kind)}
}

// Check has the program judge its file, and starts nothing.
func (p *Program) Check(ctx context.Context) error {
	if p.Kind == Nginx {
		if err := p.linkModules(ctx); err != nil {
			return err
		}
	}
	args := []string{"-c", "-f", p.Path}
	if p.Kind == Nginx {
		args = append([]string{"-t", "-q"}, p.arguments()...)
	}
	said, err := p.judge(ctx, args)
	if err != nil && p.Kind == Nginx && strings.Contains(said, `"daemon" directive is duplicate`) {
		p.attached = true
		said, err = p.judge(ctx, append([]string{"-t", "-q"}, p.arguments()...))
	}
	if err != nil {
		if p.Stream && (strings.Contains(said, `unknown directive "stream"`) || strings.Contains(said, "dlopen()")) {
			said += "; install the Debian package libnginx-mod-stream and name its file in nginx.streamModule"
		}
		return fmt.Errorf("%s refuses %s: %s (%w)", p.Kind, p.Path, said, err)
	}
	return nil
}

// judge runs the program for what it says of its file.
func (p *Program) judge(ctx context.Context, args []string) (said string, err error) {
	cmd := exec.CommandContext(ctx, p.binary, args...)
	cmd.Dir = p.dir
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// arguments start the program in the foreground.
func (p *Program) arguments() []string {
	if p.Kind == Nginx {
		args := []string{"-p", p.dir, "-e", "stderr", "-c", p.Path}
		if p.attached {
			return args
		}
		return append(args, "-g", "daemon off;")
	}
	return []string{"-W", "-db", "-f", p.Path} // a master, so that a reload keeps streams
}

// signals are how the program is told to reload, and to end when its streams
// have.
func (k Kind) signals() (reload, drain os.Signal) {
	if k == Nginx {
		return syscall.SIGHUP, syscall.SIGQUIT
	}
	return syscall.SIGUSR2, syscall.SIGUSR1
}
