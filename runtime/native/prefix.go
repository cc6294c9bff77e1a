package native

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// linkModules has load_module find its modules. A relative path there is
// relative to the prefix: nginx's own has the directory of its modules, and
// the one that nginx is given here is empty.
func (p *Program) linkModules(ctx context.Context) error {
	said, err := exec.CommandContext(ctx, p.binary, "-V").CombinedOutput()
	if err != nil {
		return fmt.Errorf("asking nginx for its prefix: %w", err)
	}
	for option := range strings.FieldsSeq(string(said)) {
		prefix, ok := strings.CutPrefix(option, "--prefix=")
		if !ok {
			continue
		}
		if err := os.Symlink(filepath.Join(prefix, "modules"), filepath.Join(p.dir, "modules")); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	return nil
}
