// Package kubernetes finds Kubernetes' own programs on this machine: a kubectl
// that speaks WebSocket by itself, and what is built from source because no
// distribution has it. It knows no cluster. Its law: an unfit program is
// refused with the reason, never used half; a build is seen whole or not at
// all.
package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"strings"
)

// Version is the release that is built: that of client-go in go.mod, so that
// agent, clients and servers are of one age.
const Version = "v1.37.2"

// Program is a program on this machine.
type Program struct {
	Path    string
	Version string // as v1.32.4
}

// GetServer is the kube-apiserver of Version, built with the go on PATH unless
// an earlier build is cached: ten minutes and more, once a machine.
func GetServer(ctx context.Context, log *slog.Logger) (Program, error) {
	return get(ctx, "kube-apiserver", Version, inspectServer, log)
}

// GetKubelet is the kubelet of Version, in the same way.
func GetKubelet(ctx context.Context, log *slog.Logger) (Program, error) {
	return get(ctx, "kubelet", Version, inspectServer, log)
}

func get(ctx context.Context, command, version string, inspect func(context.Context, string) (Program, error), log *slog.Logger) (Program, error) {
	p, err := fromSource(ctx, command, version, inspect, log)
	if err != nil {
		return Program{}, fmt.Errorf("building %s %s: %w", command, version, err)
	}
	return p, nil
}

// inspectServer asks a server for its version, or a kubelet.
func inspectServer(ctx context.Context, path string) (Program, error) {
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return Program{}, fmt.Errorf("asking %s for its version: %w", path, err)
	}
	found, ok := strings.CutPrefix(strings.TrimSpace(string(out)), "Kubernetes ")
	if !ok {
		return Program{}, fmt.Errorf("reading the version of %s: %q", path, out)
	}
	return Program{Path: path, Version: found}, nil
}

func fromSource(ctx context.Context, command, version string, inspect func(context.Context, string) (Program, error), log *slog.Logger) (Program, error) {
	tool, err := exec.LookPath("go")
	if err != nil {
		return Program{}, errors.New("there is no go on PATH")
	}
	dir, err := cacheDir(command, version)
	if err != nil {
		return Program{}, err
	}
	return builder{command: command, version: version, inspect: inspect, tool: tool, dir: dir, log: log}.get(ctx)
}
