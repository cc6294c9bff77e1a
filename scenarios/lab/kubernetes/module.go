package kubernetes

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

const kubernetes = "k8s.io/kubernetes"

// module is the go.mod of a module that can build Kubernetes' commands.
// Kubernetes itself can be neither installed nor required as it is: its
// go.mod replaces its staging modules by folders that its module zip lacks.
func (b builder) module(ctx context.Context, work string) ([]byte, error) {
	out, failed := b.run(ctx, work, "mod", "download", "-json", kubernetes+"@"+b.version)
	var download struct{ GoMod, Error string }
	switch err := json.Unmarshal(out, &download); {
	case download.Error != "": // go says it on stdout, and exits 1
		return nil, fmt.Errorf("go mod download: %s", download.Error)
	case failed != nil:
		return nil, failed
	case err != nil:
		return nil, fmt.Errorf("reading the answer of go mod download: %w", err)
	}
	out, err := b.run(ctx, work, "mod", "edit", "-json", download.GoMod)
	if err != nil {
		return nil, err
	}
	return goMod(out, b.version)
}

// goMod makes that go.mod out of Kubernetes' own, as `go mod edit -json`
// prints it.
func goMod(printed []byte, version string) ([]byte, error) {
	type module struct{ Path, Version string }
	var own struct {
		Go      string
		GoDebug []struct{ Key, Value string }
		Replace []struct{ Old, New module }
	}
	if err := json.Unmarshal(printed, &own); err != nil {
		return nil, fmt.Errorf("reading the answer of go mod edit: %w", err)
	}
	var mod bytes.Buffer
	fmt.Fprintf(&mod, "module kubectl\n\ngo %s\n\n", own.Go)
	for _, setting := range own.GoDebug { // counts in the main module only
		fmt.Fprintf(&mod, "godebug %s=%s\n", setting.Key, setting.Value)
	}
	fmt.Fprintf(&mod, "\nrequire %s %s\n\n", kubernetes, version)
	staged := 0
	for _, r := range own.Replace {
		old := strings.TrimSpace(r.Old.Path + " " + r.Old.Version)
		switch {
		case strings.HasPrefix(r.New.Path, "./staging/"):
			staged++
			fmt.Fprintf(&mod, "replace %s => %s %s\n", old, r.Old.Path, staging(version))
		case r.New.Version != "":
			fmt.Fprintf(&mod, "replace %s => %s %s\n", old, r.New.Path, r.New.Version)
		default:
			return nil, fmt.Errorf("%s replaces %s by %s, which no module zip holds", kubernetes, r.Old.Path, r.New.Path)
		}
	}
	if staged == 0 {
		return nil, errors.New("the go.mod of " + kubernetes + " names no staging module")
	}
	return mod.Bytes(), nil
}

// staging is the version that Kubernetes' libraries carry.
func staging(version string) string { return "v0." + strings.TrimPrefix(version, "v1.") }
