package kubernetes

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
	command string // a folder of Kubernetes' cmd
	version string // of Kubernetes, as v1.32.13
	// inspect asks what was built for its version.
	inspect func(ctx context.Context, path string) (Program, error)
	tool    string // path of go
	dir     string
	log     *slog.Logger
}

// get is the cached program, built first if need be. Of several processes
// one builds, the others wait for it.
func (b builder) get(ctx context.Context) (Program, error) {
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		return Program{}, err
	}
	unlock, err := lock(ctx, filepath.Join(b.dir, "lock"), b.command, b.log)
	if err != nil {
		return Program{}, err
	}
	defer unlock()
	k, err := b.cached(ctx)
	switch {
	case err == nil:
		return k, nil
	case ctx.Err() != nil:
		return Program{}, err
	case !errors.Is(err, fs.ErrNotExist):
		b.log.WarnContext(ctx, "the cached program is unfit, building it anew", "program", b.command, "reason", err)
	}
	return b.build(ctx)
}

// build is called with the lock held. It works in a directory beside the
// result, since a rename stays within a file system.
func (b builder) build(ctx context.Context) (k Program, err error) {
	start := time.Now()
	b.log.InfoContext(ctx, "building a program of Kubernetes from source; the first time this takes minutes", "program", b.command, "version", b.version)
	if err := b.sweep(); err != nil {
		return Program{}, err
	}
	work, err := os.MkdirTemp(b.dir, "build-")
	if err != nil {
		return Program{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()

	mod, err := b.module(ctx, work)
	if err != nil {
		return Program{}, err
	}
	if err := os.WriteFile(filepath.Join(work, "go.mod"), mod, 0o644); err != nil {
		return Program{}, err
	}
	made := filepath.Join(work, b.command)
	if _, err := b.run(ctx, work, "build", "-mod=mod", "-trimpath", "-ldflags="+ldflags(b.version), "-o", made, kubernetes+"/cmd/"+b.command); err != nil {
		return Program{}, err
	}
	if _, err := b.exactly(ctx, made); err != nil {
		return Program{}, err
	}
	path := filepath.Join(b.dir, b.command)
	if err := os.Rename(made, path); err != nil {
		return Program{}, err
	}
	b.log.InfoContext(ctx, "built a program of Kubernetes", "path", path, "took", time.Since(start).Round(time.Second))
	return Program{Path: path, Version: b.version}, nil
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

// ldflags stamps what Kubernetes' own build does: without it a program calls
// itself v0.0.0-master, in its User-Agent too.
func ldflags(version string) string {
	number := strings.Split(strings.TrimPrefix(version, "v"), ".")
	flags := []string{"-s", "-w"}
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		flags = append(flags,
			"-X", pkg+".gitVersion="+version,
			"-X", pkg+".gitMajor="+number[0],
			"-X", pkg+".gitMinor="+number[1],
			"-X", pkg+".gitTreeState=archive",
		)
	}
	return strings.Join(flags, " ")
}
