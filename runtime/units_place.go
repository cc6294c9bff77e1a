package runtime

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kasgen/internal/cli"
	"kasgen/runtime/units"
)

// place writes what differs into the directory, removes what is stale there,
// and leaves other files alone.
func (o unitsOptions) place(streams cli.IO, files []units.File) error {
	changed, err := o.write(streams, files)
	if err != nil {
		return err
	}
	stale, err := units.Stale(o.output, files)
	if err != nil {
		return cli.Exit{Code: cli.Failure, Err: err}
	}
	for _, name := range stale {
		if !o.check {
			if err := os.Remove(filepath.Join(o.output, name)); err != nil {
				return cli.Exit{Code: cli.Failure, Err: fmt.Errorf("removing units: %w", err)}
			}
		}
		if _, err := fmt.Fprintf(streams.Out, "removed %s\n", name); err != nil {
			return err
		}
	}
	switch {
	case o.check && (changed || len(stale) > 0):
		return cli.Exit{Code: cli.Differences}
	case !changed && len(stale) == 0:
		_, err := fmt.Fprintf(streams.Out, "%s is up to date\n", o.output)
		return err
	case len(stale) > 0:
		return tellRemoved(streams, stale)
	default:
		return nil
	}
}

// tellRemoved says what files alone do not do: systemd goes on with what it has
// started, and with its own links to what was enabled.
func tellRemoved(streams cli.IO, stale []string) error {
	running := slices.DeleteFunc(slices.Clone(stale), func(name string) bool { return strings.HasSuffix(name, ".conf") })
	if len(running) == 0 {
		return nil
	}
	_, err := fmt.Fprintf(streams.Err, "what was removed runs until it is stopped: systemctl disable --now %s\n", strings.Join(running, " "))
	return err
}

// write says whether a file differed.
func (o unitsOptions) write(streams cli.IO, files []units.File) (changed bool, err error) {
	if !o.check {
		if err := os.MkdirAll(o.output, 0o755); err != nil {
			return false, cli.Exit{Code: cli.Failure, Err: fmt.Errorf("writing units: %w", err)}
		}
	}
	for _, f := range files {
		path := filepath.Join(o.output, f.Name)
		old, err := os.ReadFile(path)
		if err == nil && string(old) == string(f.Data) {
			continue
		}
		what := "changed"
		if errors.Is(err, os.ErrNotExist) {
			what = "added  "
		} else if err != nil {
			return changed, cli.Exit{Code: cli.Failure, Err: err}
		}
		changed = true
		if !o.check {
			if err := replace(path, f.Data); err != nil {
				return changed, cli.Exit{Code: cli.Failure, Err: fmt.Errorf("writing units: %w", err)}
			}
		}
		if _, err := fmt.Fprintf(streams.Out, "%s %s\n", what, f.Name); err != nil {
			return changed, err
		}
	}
	return changed, nil
}

// replace writes a file whole or not at all. A link is replaced and not
// followed: it may lead to /dev/null.
func replace(path string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".kasgen-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // renamed, if all is well
	_, err = tmp.Write(data)
	if err := errors.Join(err, tmp.Chmod(0o644), tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
