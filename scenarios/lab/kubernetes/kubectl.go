package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"

	"k8s.io/apimachinery/pkg/util/version"
)

// Oldest is the first release whose exec and port-forward use WebSocket
// unless told otherwise.
const Oldest = "1.31.0"

// ErrAbsent is for machines without a kubectl; ErrOld for those with one
// from before Oldest.
var (
	ErrAbsent = errors.New("there is no kubectl on PATH")
	ErrOld    = errors.New("kubectl is older than " + Oldest)
)

const kubectl = "kubectl"

// FindKubectl looks on PATH, then for one that GetKubectl built earlier. Its error says
// what is wrong with the one on PATH.
func FindKubectl(ctx context.Context) (Program, error) {
	found, unfit := Installed(ctx)
	if unfit == nil || ctx.Err() != nil {
		return found, unfit
	}
	dir, err := cacheDir(kubectl, Version)
	if err != nil {
		return Program{}, fmt.Errorf("%w; %w", unfit, err)
	}
	if built, err := (builder{command: kubectl, version: Version, inspect: inspect, dir: dir}).cached(ctx); err == nil {
		return built, nil
	}
	return Program{}, unfit
}

// GetKubectl is FindKubectl, and where that finds nothing fit it builds Version with the go
// on PATH: some minutes and some hundred MB of modules, once a machine.
func GetKubectl(ctx context.Context, log *slog.Logger) (Program, error) {
	found, unfit := FindKubectl(ctx)
	if unfit == nil || ctx.Err() != nil {
		return found, unfit
	}
	built, err := BuildKubectl(ctx, Version, log)
	if err != nil {
		return Program{}, fmt.Errorf("%w; %w", unfit, err)
	}
	return built, nil
}

// BuildKubectl is the kubectl of a version, built with the go on PATH unless an
// earlier build is cached.
func BuildKubectl(ctx context.Context, version string, log *slog.Logger) (Program, error) {
	return get(ctx, kubectl, version, inspect, log)
}

// Installed is the kubectl on PATH. Its error says what is wrong with it.
func Installed(ctx context.Context) (Program, error) {
	path, err := exec.LookPath("kubectl")
	if err != nil {
		return Program{}, ErrAbsent
	}
	return inspect(ctx, path)
}

// inspect asks a kubectl for its version, and refuses one from before Oldest.
func inspect(ctx context.Context, path string) (Program, error) {
	p, err := ask(ctx, path)
	if err != nil {
		return Program{}, err
	}
	v, err := version.ParseGeneric(p.Version)
	if err != nil {
		return Program{}, fmt.Errorf("reading the version of %s: %w", path, err)
	}
	if v.LessThan(version.MustParseGeneric(Oldest)) {
		return Program{}, fmt.Errorf("%s is %s: %w", path, p.Version, ErrOld)
	}
	return p, nil
}

// ask asks a kubectl for its version.
func ask(ctx context.Context, path string) (Program, error) {
	cmd := exec.CommandContext(ctx, path, "version", "--client", "--output=json")
	out, err := cmd.Output()
	if err != nil {
		return Program{}, fmt.Errorf("asking %s for its version: %w", path, err)
	}
	var answer struct {
		ClientVersion struct {
			GitVersion string `json:"gitVersion"`
		} `json:"clientVersion"`
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		return Program{}, fmt.Errorf("reading the version of %s: %w", path, err)
	}
	return Program{Path: path, Version: answer.ClientVersion.GitVersion}, nil
}
