// Package kubectl finds a kubectl that speaks WebSocket by itself, and builds
// one from source where the machine has none. It knows no cluster. Its law:
// an unfit kubectl is refused with the reason, never used half; a build is
// seen whole or not at all.
package kubectl

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

// Version is the release that Get builds: that of client-go in go.mod, so
// that the agent and kubectl are of one age.
const Version = "v1.37.2"

// ErrAbsent is for machines without a kubectl; ErrOld for those with one
// from before Oldest.
var (
	ErrAbsent = errors.New("there is no kubectl on PATH")
	ErrOld    = errors.New("kubectl is older than " + Oldest)
)

// Kubectl is a program on this machine.
type Kubectl struct {
	Path    string
	Version string // as v1.32.4
}

// Find looks on PATH, then for one that Get built earlier. Its error says
// what is wrong with the one on PATH.
func Find(ctx context.Context) (Kubectl, error) {
	found, unfit := installed(ctx)
	if unfit == nil || ctx.Err() != nil {
		return found, unfit
	}
	dir, err := cacheDir()
	if err != nil {
		return Kubectl{}, fmt.Errorf("%w; %w", unfit, err)
	}
	if built, err := cached(ctx, dir); err == nil {
		return built, nil
	}
	return Kubectl{}, unfit
}

// Get is Find, and where that finds nothing fit it builds Version with the go
// on PATH: some minutes and some hundred MB of modules, once a machine.
func Get(ctx context.Context, log *slog.Logger) (Kubectl, error) {
	found, unfit := Find(ctx)
	if unfit == nil || ctx.Err() != nil {
		return found, unfit
	}
	built, err := fromSource(ctx, log)
	if err != nil {
		return Kubectl{}, fmt.Errorf("%w; building kubectl %s: %w", unfit, Version, err)
	}
	return built, nil
}

func fromSource(ctx context.Context, log *slog.Logger) (Kubectl, error) {
	tool, err := exec.LookPath("go")
	if err != nil {
		return Kubectl{}, errors.New("there is no go on PATH")
	}
	dir, err := cacheDir()
	if err != nil {
		return Kubectl{}, err
	}
	return builder{tool: tool, dir: dir, log: log}.get(ctx)
}

func installed(ctx context.Context) (Kubectl, error) {
	path, err := exec.LookPath("kubectl")
	if err != nil {
		return Kubectl{}, ErrAbsent
	}
	return inspect(ctx, path)
}

// inspect asks a kubectl for its version.
func inspect(ctx context.Context, path string) (Kubectl, error) {
	cmd := exec.CommandContext(ctx, path, "version", "--client", "--output=json")
	out, err := cmd.Output()
	if err != nil {
		return Kubectl{}, fmt.Errorf("asking %s for its version: %w", path, err)
	}
	var answer struct {
		ClientVersion struct {
			GitVersion string `json:"gitVersion"`
		} `json:"clientVersion"`
	}
	if err := json.Unmarshal(out, &answer); err != nil {
		return Kubectl{}, fmt.Errorf("reading the version of %s: %w", path, err)
	}
	found := answer.ClientVersion.GitVersion
	v, err := version.ParseGeneric(found)
	if err != nil {
		return Kubectl{}, fmt.Errorf("reading the version of %s: %w", path, err)
	}
	if v.LessThan(version.MustParseGeneric(Oldest)) {
		return Kubectl{}, fmt.Errorf("%s is %s: %w", path, found, ErrOld)
	}
	return Kubectl{Path: path, Version: found}, nil
}
