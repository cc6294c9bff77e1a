package omnibus

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"kasgen/internal/cli"
	"kasgen/internal/diag"
	"kasgen/omnibus/ledger"
)

// installation is one run of `kasgen omnibus install`.
type installation struct {
	options
	streams    cli.IO
	yes, force bool
}

// placedFile says that install placed kasgen.yaml: uninstall then takes it away.
const placedFile = "etc/gitlab/.kasgen.placed"

func (i *installation) run(ctx context.Context) error {
	if _, err := i.host.recover(); err != nil {
		return fmt.Errorf("putting back what a run that was ended had begun: %w", err)
	}
	if i.binary == "" {
		i.binary = i.host.installedBinary()
	}
	p, err := i.make()
	if err != nil {
		return err
	}
	if err := said(i.streams, p.findings); err != nil {
		return err
	}
	more, line, err := i.changes(p)
	if err != nil {
		return err
	}
	if p, err = p.withPending(more, i.force); err != nil {
		return faults(i.streams, err)
	}
	c, changes, err := p.apply(append(more, p.note...), i.force, func() error { return nil })
	if err != nil {
		return faults(i.streams, err)
	}
	for _, change := range c.Changes {
		fmt.Fprintf(i.streams.Out, "%-7s %s/%s\n", change.Kind, Directory, change.Path)
	}
	i.print(changes)
	switch {
	case !line:
		fmt.Fprintf(i.streams.Out, "add this to the end of /etc/gitlab/gitlab.rb:\n\n  %s\n\nand run gitlab-ctl reconfigure\n", readLine)
	case len(changes) > 0 || len(c.Changes) > 0:
		fmt.Fprintln(i.streams.Out, "installed; it takes effect with gitlab-ctl reconfigure")
	default:
		fmt.Fprintln(i.streams.Out, "installed already; nothing was changed")
	}
	return nil
}

// changes are the files outside the bundle, gitlab.rb last: until it reads our
// keys, nothing of them has an effect. line says whether it does.
func (i *installation) changes(p *plan) (list []ledger.Change, line bool, err error) {
	if old, there, err := i.host.read(specFile); err != nil {
		return nil, false, err
	} else if i.spec != "" && (!there || !bytes.Equal(old, p.text)) {
		list = append(list, ledger.Change{Path: i.host.at(specFile), Data: p.text, Mode: 0o644})
		if !there {
			list = append(list, ledger.Change{Path: i.host.at(placedFile), Data: []byte("kasgen.yaml\n"), Mode: 0o600})
		}
	}
	rb, err := extension(i.binary)
	if err != nil {
		return nil, false, err
	}
	more, err := p.change(extensionFile, rb)
	if err != nil {
		return nil, false, err
	}
	list = append(list, more...)
	text, there, err := i.host.read(gitlabFile)
	switch {
	case err != nil:
		return nil, false, err
	case !there:
		return nil, false, fmt.Errorf("there is no %s: is GitLab's package installed?", i.host.at(gitlabFile))
	case hasLine(text):
		return list, true, nil
	case !i.yes && !i.asked():
		return list, false, nil
	}
	return append(list, ledger.Change{Path: i.host.at(gitlabFile), Data: withLine(text), Mode: 0o600}), true, nil
}

// asked asks whether gitlab.rb may be changed.
func (i *installation) asked() bool {
	fmt.Fprintf(i.streams.Err, "add %q to %s? [y/N] ", readLine, i.host.at(gitlabFile))
	answer, err := bufio.NewReader(i.streams.In).ReadString('\n')
	if err != nil && answer == "" {
		fmt.Fprintln(i.streams.Err)
		return false
	}
	return strings.EqualFold(strings.TrimSpace(answer), "y")
}

func (i *installation) print(changes []ledger.Change) {
	for _, c := range changes {
		if c.Path != i.host.at(pendingFile) && c.Path != i.host.at(placedFile) {
			fmt.Fprintf(i.streams.Out, "%-7s %s\n", verb(c), c.Path)
		}
	}
}

func verb(c ledger.Change) string {
	if c.Remove {
		return "removed"
	}
	return "written"
}

// said prints findings, and ends the run where they are faults.
func said(streams cli.IO, found diag.Findings) error {
	if err := cli.PrintFindings(streams, cli.Text, found); err != nil {
		return err
	}
	if found.Failed() {
		return cli.Exit{Code: cli.Failure}
	}
	return nil
}

// faults prints an error's findings, where it has any.
func faults(streams cli.IO, err error) error {
	if found, ok := errors.AsType[diag.Findings](err); ok {
		if err := cli.PrintFindings(streams, cli.Text, found); err != nil {
			return err
		}
		return cli.Exit{Code: cli.Failure}
	}
	return err
}

// removal is one run of `kasgen omnibus uninstall`.
type removal struct {
	options
	streams cli.IO
}

func (u *removal) run(ctx context.Context) error {
	h := u.host
	if _, err := h.recover(); err != nil {
		return fmt.Errorf("putting back what a run that was ended had begun: %w", err)
	}
	var list []ledger.Change
	text, there, err := h.read(gitlabFile)
	if err != nil {
		return err
	}
	if there && hasLine(text) {
		list = append(list, ledger.Change{Path: h.at(gitlabFile), Data: withoutLine(text)})
	}
	files := []string{extensionFile, pendingFile}
	for _, name := range unitNames() {
		files = append(files, filepath.Join(unitsFolder, name))
	}
	if h.has(placedFile) {
		files = append(files, specFile, placedFile)
	}
	placeholders, state := h.placeholders()
	if vhost := h.vhostWith(placeholders); vhost != "" {
		fmt.Fprintf(u.streams.Out, "left    %s: %s has it until gitlab-ctl reconfigure\n", strings.Join(placeholders, ", "), vhost)
		placeholders = nil
	}
	files = append(files, placeholders...)
	units := false
	for _, name := range files {
		if h.has(name) {
			units = units || strings.HasPrefix(name, unitsFolder)
			list = append(list, ledger.Change{Path: h.at(name), Remove: true})
		}
	}
	if len(list) == 0 && !h.has("etc/gitlab/kasgen") {
		fmt.Fprintln(u.streams.Out, "nothing is installed")
		return nil
	}
	l := h.ledger()
	n, err := h.generation()
	if err != nil {
		return err
	}
	if err := l.Begin(fmt.Sprint(n)+withBundle, list); err != nil {
		return err
	}
	managed := units && h.real() && h.managed()
	if managed {
		// Services and sockets are a part of the target, and end with it.
		if err := h.run(ctx, "systemctl", "disable", "--now", "kasgen.target"); err != nil {
			fmt.Fprintln(u.streams.Err, "warning:", err)
		}
	}
	if err := l.Apply(list); err != nil {
		_, undone := h.recover()
		if managed {
			err = errors.Join(err, h.run(ctx, "systemctl", "enable", "--now", "kasgen.target"))
		}
		return errors.Join(err, undone)
	}
	// The bundle goes with it: until then nothing has to be put back but files.
	if err := l.Commit(); err != nil {
		return err
	}
	for _, c := range list {
		fmt.Fprintf(u.streams.Out, "%-7s %s\n", verb(c), c.Path)
	}
	folders := []string{filepath.Dir(extensionFile), unitsFolder, filepath.Dir(unitsFolder)}
	for _, name := range placeholders {
		for dir := filepath.Dir(name); state != "" && strings.HasPrefix(dir+"/", state+"/"); dir = filepath.Dir(dir) {
			folders = append(folders, dir)
		}
	}
	for _, folder := range folders {
		// The package's and systemd's own folders are never empty.
		if err := os.Remove(h.at(folder)); err != nil && !errors.Is(err, fs.ErrNotExist) && !notEmpty(err) {
			return err
		}
	}
	if managed {
		if err := h.run(ctx, "systemctl", "daemon-reload"); err != nil {
			fmt.Fprintln(u.streams.Err, "warning:", err)
		}
	}
	fmt.Fprintln(u.streams.Out, "uninstalled; gitlab-ctl reconfigure makes Omnibus's own configuration effective again")
	return nil
}
