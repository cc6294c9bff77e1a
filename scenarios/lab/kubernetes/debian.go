package kubernetes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// SPDYOnly is the version of Debian's kubectl, which speaks SPDY alone. Its
// package is kubernetes-client.
const SPDYOnly = "v1.20.2"

// debianPackage is never installed: it would take another kubectl's place.
const debianPackage = "kubernetes-client"

// GetDebianKubectl is Debian's kubectl, unpacked into the user's cache unless
// it is there. Where Debian has another version by now, that is an error.
func GetDebianKubectl(ctx context.Context, log *slog.Logger) (Program, error) {
	dir, err := cacheDir(kubectl, SPDYOnly)
	if err != nil {
		return Program{}, err
	}
	p, err := unpacker{dir: dir, log: log, inspect: ask, fetch: download}.get(ctx)
	if err != nil {
		return Program{}, fmt.Errorf("getting Debian's kubectl %s: %w", SPDYOnly, err)
	}
	return p, nil
}

// unpacker fills a cache directory with the kubectl of a Debian package.
type unpacker struct {
	dir     string
	log     *slog.Logger
	inspect func(ctx context.Context, path string) (Program, error)
	// fetch lays the package's files below work.
	fetch func(ctx context.Context, work string) error
}

func (u unpacker) get(ctx context.Context) (_ Program, err error) {
	if err := os.MkdirAll(u.dir, 0o755); err != nil {
		return Program{}, err
	}
	unlock, err := lock(ctx, filepath.Join(u.dir, "lock"), debianPackage, u.log)
	if err != nil {
		return Program{}, err
	}
	defer unlock()
	path := filepath.Join(u.dir, kubectl)
	p, err := u.exactly(ctx, path)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return p, err
	}
	work, err := os.MkdirTemp(u.dir, "build-")
	if err != nil {
		return Program{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	if err := u.fetch(ctx, work); err != nil {
		return Program{}, err
	}
	made := filepath.Join(work, "usr", "bin", kubectl)
	if _, err := u.exactly(ctx, made); err != nil {
		return Program{}, err
	}
	if err := os.Rename(made, path); err != nil {
		return Program{}, err
	}
	return Program{Path: path, Version: SPDYOnly}, nil
}

func (u unpacker) exactly(ctx context.Context, path string) (Program, error) {
	p, err := u.inspect(ctx, path)
	if err == nil && p.Version != SPDYOnly {
		err = fmt.Errorf("%s is %s", path, p.Version)
	}
	return p, err
}

// download fetches the package with apt-get, which checks its signature, and
// unpacks it. apt-get downloads as another user where it may: hence the mode.
func download(ctx context.Context, work string) error {
	if err := os.Chmod(work, 0o755); err != nil {
		return err
	}
	// A machine that is new has no lists of packages.
	fetch := func() error { return outside(ctx, work, "apt-get", "download", "-q", debianPackage) }
	if failed := fetch(); failed != nil {
		if err := outside(ctx, work, "apt-get", "update", "-q"); err != nil {
			return errors.Join(failed, err)
		}
		if err := fetch(); err != nil {
			return err
		}
	}
	packages, err := filepath.Glob(filepath.Join(work, debianPackage+"_*.deb"))
	if err != nil {
		return err
	}
	if len(packages) != 1 {
		return fmt.Errorf("apt-get download has left %d packages", len(packages))
	}
	return outside(ctx, work, "dpkg-deb", "-x", packages[0], work)
}

// outside runs a program of Debian's.
func outside(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	var complaint bytes.Buffer
	cmd.Dir, cmd.Stderr, cmd.WaitDelay = dir, &complaint, 10*time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w%s", name, err, tail(complaint.String()))
	}
	return nil
}
