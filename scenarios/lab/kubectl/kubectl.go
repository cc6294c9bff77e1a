// Package kubectl finds a kubectl that speaks WebSocket by itself. It knows
// no cluster. Its law: an unfit kubectl is refused with the reason, never
// used half.
package kubectl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

// Kubectl is a program on this machine.
type Kubectl struct {
	Path    string
	Version string // as v1.32.4
}

// Find looks on PATH.
func Find(ctx context.Context) (Kubectl, error) {
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
