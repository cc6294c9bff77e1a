package kubectl

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// builder fills a cache directory by means of a Go tool.
type builder struct {
	tool string // path of go
	dir  string
	log  *slog.Logger
}

// get is the cached kubectl, built first if need be. Of several processes
// one builds, the others wait for it.
func (b builder) get(ctx context.Context) (Kubectl, error) {
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		return Kubectl{}, err
	}
	unlock, err := lock(ctx, filepath.Join(b.dir, "lock"), b.log)
	if err != nil {
		return Kubectl{}, err
	}
	defer unlock()
	k, err := cached(ctx, b.dir)
	switch {
	case err == nil:
		return k, nil
	case ctx.Err() != nil:
		return Kubectl{}, err
	case !errors.Is(err, fs.ErrNotExist):
		b.log.WarnContext(ctx, "the cached kubectl is unfit, building it anew", "reason", err)
	}
	return b.build(ctx)
}

// build is called with the lock held. It works in a directory beside the
// result, since a rename stays within a file system.
func (b builder) build(ctx context.Context) (k Kubectl, err error) {
	start := time.Now()
	b.log.InfoContext(ctx, "building kubectl from source; the first time this takes minutes", "version", Version)
	if err := b.sweep(); err != nil {
		return Kubectl{}, err
	}
	work, err := os.MkdirTemp(b.dir, "build-")
	if err != nil {
		return Kubectl{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()

	mod, err := b.module(ctx, work)
	if err != nil {
		return Kubectl{}, err
	}
	if err := os.WriteFile(filepath.Join(work, "go.mod"), mod, 0o644); err != nil {
		return Kubectl{}, err
	}
	made := filepath.Join(work, "kubectl")
	if _, err := b.run(ctx, work, "build", "-mod=mod", "-trimpath", "-ldflags="+ldflags(), "-o", made, kubernetes+"/cmd/kubectl"); err != nil {
		return Kubectl{}, err
	}
	if _, err := exactly(ctx, made); err != nil {
		return Kubectl{}, err
	}
	path := filepath.Join(b.dir, "kubectl")
	if err := os.Rename(made, path); err != nil {
		return Kubectl{}, err
	}
	b.log.InfoContext(ctx, "built kubectl", "path", path, "took", time.Since(start).Round(time.Second))
	return Kubectl{Path: path, Version: Version}, nil
}

// sweep removes what builds left behind that were killed.
func (b builder) sweep() error {
	left, err := filepath.Glob(filepath.Join(b.dir, "build-*"))
	if err != nil {
		return err
	}
	for _, dir := range left {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}

// ldflags stamps what Kubernetes' own build does: without it kubectl calls
// itself v0.0.0-master, in its User-Agent too.
func ldflags() string {
	number := strings.Split(strings.TrimPrefix(Version, "v"), ".")
	flags := []string{"-s", "-w"}
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		flags = append(flags,
			"-X", pkg+".gitVersion="+Version,
			"-X", pkg+".gitMajor="+number[0],
			"-X", pkg+".gitMinor="+number[1],
			"-X", pkg+".gitTreeState=archive",
		)
	}
	return strings.Join(flags, " ")
}
