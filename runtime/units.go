package runtime

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/tools/txtar"

	"kasgen/internal/cli"
	"kasgen/internal/diag"
	"kasgen/runtime/kas"
	"kasgen/runtime/units"
)

// limited is a configuration that knows how much it serves and how it ends.
type limited interface {
	Limits() (connections int, drain time.Duration)
}

// unitsOptions are the flags of `kasgen units`.
type unitsOptions struct {
	output, binary, user string
	systemd              int
	one, check           bool
	registry             Registry
	reload               []string
}

func unitsCommand(streams cli.IO) *cobra.Command {
	var o unitsOptions
	cmd := &cobra.Command{
		Use:   "units DIR",
		Short: "Write systemd units that run a bundle",
		Long: `Write systemd units that run the bundle in DIR: a service for each role, hardened,
with limits from the bundle's files; a socket unit where a role listens below
port 1024, so that no service needs a privilege; a target for all of them; and
the user that they run as, for systemd-sysusers.

A kas-config.yaml with Redis is for GitLab's kas, which has a service of its own:
there is none for it here then, unless --registry memory is given.

-o makes its directory where it is missing, and removes the units from it that
this command has written and that the bundle no longer has.

Without -o the files go to standard output as one txtar stream.`,
		Example: `  kasgen units /etc/kasgen/bundle -o /etc/systemd/system
  systemd-sysusers /etc/systemd/system/kasgen.sysusers.conf
  systemctl daemon-reload && systemctl enable --now kasgen.target`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return writeUnits(streams, args[0], o) },
	}
	f := cmd.Flags()
	f.StringVarP(&o.output, "output", "o", "", "directory to write into (default: standard output)")
	f.StringVar(&o.binary, "binary", "/usr/local/bin/kasgen", "kasgen's path on the machine")
	f.StringVar(&o.user, "user", "kasgen", "who runs the services")
	f.IntVar(&o.systemd, "systemd", 252, "version of systemd on the machine; from 253 it reloads services itself")
	f.BoolVar(&o.one, "one-process", false, "one service for all roles: the edge hands connections to kas inside it")
	f.BoolVar(&o.check, "check", false, "write nothing; exit 2 if the directory differs")
	f.StringArrayVar(&o.reload, "reload", nil, "nothing of kasgen's runs the front: a command, with its whole path, that has who does read certificates again")
	AddRegistry(cmd, &o.registry)
	cli.CompleteDir(cmd)
	return cmd
}

// userName is what useradd(8) takes.
var userName = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,30}$`)

func writeUnits(streams cli.IO, dir string, o unitsOptions) error {
	switch {
	case !filepath.IsAbs(o.binary):
		return cli.Usage("--binary %s: systemd wants an absolute path", o.binary)
	case !userName.MatchString(o.user):
		return cli.Usage("--user %q: it is a user's name", o.user)
	case o.one && len(o.reload) > 0:
		return cli.Usage("--reload goes without --one-process, which runs the front too")
	case slices.ContainsFunc(o.reload, func(command string) bool { return !filepath.IsAbs(command) }):
		return cli.Usage("--reload %q: systemd wants the absolute path of a command, as in \"/usr/bin/systemctl reload haproxy\"", o.reload)
	case o.check && o.output == "":
		return cli.Usage("--check compares with a directory: name it with -o")
	}
	b, err := readForUnits(streams, dir, o)
	if err != nil {
		return cli.Report(streams, cli.Text, err, b.Subjects()...)
	}
	at, err := filepath.Abs(dir)
	if err != nil {
		return cli.Exit{Code: cli.Failure, Err: err}
	}
	options := units.Options{Binary: filepath.Clean(o.binary), Bundle: at, StateDir: b.Lock.StateDir, User: o.user, Systemd: o.systemd, Reload: o.reload}
	services := b.services(o.one, o.registry)
	if len(o.reload) > 0 {
		services = slices.DeleteFunc(services, func(r units.Role) bool { return r.Name == string(Front) })
		if options.Watch = b.watched(); len(options.Watch) == 0 {
			return cli.Usage("--reload: no file of %s has the front end TLS with a certificate in a file", dir)
		}
	}
	files, err := units.Render(options, services)
	if err != nil {
		return cli.Exit{Code: cli.Failure, Err: err}
	}
	if o.output == "" {
		var a txtar.Archive
		for _, f := range files {
			a.Files = append(a.Files, txtar.File{Name: f.Name, Data: f.Data})
		}
		_, err := streams.Out.Write(txtar.Format(&a))
		return err
	}
	return o.place(streams, files)
}

// Units are the systemd units of the bundle in dir, as o places it. A bundle
// that nothing of kasgen runs has none.
func Units(dir string, o units.Options) ([]units.File, error) {
	b, err := Read(dir, All)
	if err != nil {
		return nil, err
	}
	o.StateDir = b.Lock.StateDir
	return units.Render(o, b.services(false, ""))
}

// watched are the files of certificates that programs of the front read.
func (b *Bundle) watched() []string {
	var files []string
	for _, f := range b.fronts() {
		for _, p := range f.Pairs() {
			if at := b.Redirect(p.Certificate, ""); !slices.Contains(files, at) {
				files = append(files, at)
			}
		}
	}
	return files
}

// readForUnits reads the bundle, without kas where GitLab's is to run it: in one
// process it cannot be left out.
func readForUnits(streams cli.IO, dir string, o unitsOptions) (*Bundle, error) {
	b, err := Read(dir, All, o.registry)
	var found diag.Findings
	if o.one || !errors.As(err, &found) || slices.ContainsFunc(found, func(f diag.Finding) bool {
		return f.Severity == diag.Error && f.Code != kas.CodeRegistry
	}) {
		return b, err
	}
	b, err = Read(dir, All, Memory)
	if err != nil {
		return b, err
	}
	b.kas = nil
	_, err = fmt.Fprintf(streams.Err, "no service for %s: it has Redis, so GitLab's kas is to run it\n", filepath.Join(dir, kasFile))
	return b, err
}

// services are the bundle's roles in the order in which they start: kas, the
// edge before it, and the front before that.
func (b *Bundle) services(one bool, registry Registry) []units.Role {
	var roles []units.Role
	var writes []string
	if b.certs != nil {
		writes = b.certs.Directories()
	}
	var combined []string
	for _, m := range b.combines() {
		combined = append(combined, filepath.Dir(m.CombinedFile))
	}
	add := func(role Role, description string, listen []string, of ...limited) {
		r := units.Role{Name: string(role), Description: description, Listen: listen}
		if role == All || role == Certs || role == Edge && b.edgeObtains() {
			r.Writes = writes
		}
		if role == All || role == Front {
			r.Writes = append(slices.Clone(r.Writes), combined...)
		}
		if registry != "" && (role == Kas || role == All) {
			r.Flags = []string{"--registry", string(registry)}
		}
		endless := false
		for _, l := range of {
			connections, drain := l.Limits()
			r.Connections += connections
			r.Drain = max(r.Drain, drain)
			endless = endless || drain == 0
		}
		if endless {
			r.Drain = 0
		}
		roles = append(roles, r)
	}
	var kas, edge, front []limited
	if b.kas != nil {
		kas = append(kas, b.kas)
	}
	if b.edge != nil {
		edge = append(edge, b.edge)
	}
	for _, f := range b.fronts() {
		front = append(front, f)
	}
	of := " of topology " + b.Lock.Topology
	if one {
		every := append(append(front, edge...), kas...)
		add(All, "kas and everything before it"+of, b.Binds(), every...)
		return roles
	}
	if kas != nil {
		add(Kas, "kas"+of, b.kas.Binds(), kas...)
	}
	// Before the front, which does not start without the files.
	if b.certs != nil && !b.edgeObtains() {
		add(Certs, "certificates"+of, b.certs.Binds(), b.certs)
	}
	if edge != nil {
		listen := b.edge.Binds()
		if b.edgeObtains() {
			listen = append(listen, b.certs.Binds()...)
		}
		add(Edge, "the edge"+of, listen, edge...)
	}
	if front != nil {
		add(Front, "the balancer"+of, b.frontBinds(), front...)
	}
	// The roles behind the front have as many connections as it lets through.
	for i := range roles {
		roles[i].Connections = max(roles[i].Connections, roles[len(roles)-1].Connections)
	}
	return roles
}
