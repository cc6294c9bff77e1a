package omnibus

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"kasgen/omnibus/ledger"
)

// Where things lie on a host.
const (
	specFile      = "etc/gitlab/kasgen.yaml"
	gitlabFile    = "etc/gitlab/gitlab.rb"
	ledgerFile    = "etc/gitlab/.kasgen.changing"
	pendingFile   = "etc/gitlab/.kasgen.pending"
	extensionFile = "opt/gitlab/embedded/service/omnibus-ctl-kasgen/kasgen.rb"
	unitsFolder   = "etc/systemd/system"
	gitlabCtl     = "opt/gitlab/bin/gitlab-ctl"
	nginxBinary   = "opt/gitlab/embedded/sbin/nginx"
	nginxPrefix   = "var/opt/gitlab/nginx"
)

// host is a machine with a package of GitLab, or a folder that stands for one.
type host struct {
	root string
	// before is called ahead of each operation on the disk; nil: nothing.
	before func()
	// systemd says that the folder has one all the same: a test's stand-in.
	systemd bool
}

func (h host) at(name string) string { return filepath.Join(h.root, name) }

func (h host) bundle() string { return h.at(strings.TrimPrefix(Directory, "/")) }

func (h host) ledger() ledger.Ledger {
	return ledger.Ledger{Dir: h.at(ledgerFile), Before: h.before, After: h.afterChanges}
}

// real says whether the machine is this one, whose systemd may be told.
func (h host) real() bool { return h.systemd || filepath.Clean(h.root) == "/" }

// commandLimit is how long a program of the host may take.
const commandLimit = 30 * time.Second

// run runs a program of the host and gives what it said where it failed.
func (h host) run(ctx context.Context, name string, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, commandLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = time.Second // a child of its own may hold the pipe
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(append([]string{filepath.Base(name)}, args...), " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// has says whether the host has a file.
func (h host) has(name string) bool {
	_, err := os.Stat(h.at(name))
	return err == nil
}

// read is a file of the host, or nothing where there is none.
func (h host) read(name string) ([]byte, bool, error) {
	data, err := os.ReadFile(h.at(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, false, nil
	}
	return data, err == nil, err
}

// exitCode is the one that a program ended with, or -1 where it did not end by
// itself.
func exitCode(err error) int {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	return -1
}
