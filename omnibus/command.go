package omnibus

import (
	"github.com/spf13/cobra"

	"kasgen/internal/cli"
)

// Commands are the commands of this room.
func Commands(streams cli.IO) []*cobra.Command {
	cmd := &cobra.Command{
		Use:   "omnibus",
		Short: "Bring a topology into GitLab's Omnibus package, and out again",
		Long: `Bring a topology into GitLab's Omnibus package, and out again.

The topology is /etc/gitlab/kasgen.yaml's. Its files lie in /etc/gitlab/kasgen,
and one line at the end of /etc/gitlab/gitlab.rb reads the keys that it needs.`,
	}
	cmd.AddCommand(installCommand(streams), uninstallCommand(streams), reconfigureCommand(streams), statusCommand(streams), diffCommand(streams))
	return []*cobra.Command{cmd}
}

// flags gives cmd what every command is told.
func flags(cmd *cobra.Command, o *options) {
	f := cmd.Flags()
	f.StringVar(&o.host.root, "root", "/", "where the machine's files are; below another folder no service is told anything")
	f.StringVarP(&o.spec, "file", "f", "", "kasgen.yaml to read (default: /etc/gitlab/kasgen.yaml)")
	f.StringVar(&o.version, "gitlab-version", "", "version of the package (default: of the one that is installed)")
	f.StringVar(&o.attributes, "attributes", "", "Omnibus's settings: what gitlab-ctl show-config printed, or a node's JSON (default: the node's of the last reconfigure)")
	f.StringVar(&o.binary, "binary", "", "kasgen's path on the machine (default: as it was installed, or /usr/local/bin/kasgen)")
	cli.CompleteFile(cmd, "file", "yaml", "yml")
	cli.CompleteFile(cmd, "attributes", "json")
}

func installCommand(streams cli.IO) *cobra.Command {
	i := installation{streams: streams}
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Place a topology's files, the line of gitlab.rb and gitlab-ctl's extension",
		Long: `Place a topology's files, the line of gitlab.rb that reads its keys, and an
extension of gitlab-ctl that renders before each reconfigure and reloads after
it. Nothing that serves traffic changes before the next gitlab-ctl reconfigure.

All of it is placed or nothing, whatever ends the run. gitlab.rb is changed only
with --yes, or if the question on standard input is answered with y.`,
		Example: `  kasgen omnibus install -f kasgen.yaml --yes
  gitlab-ctl reconfigure`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return i.run(cmd.Context()) },
	}
	flags(cmd, &i.options)
	cmd.Flags().BoolVar(&i.yes, "yes", false, "change gitlab.rb without asking")
	cmd.Flags().BoolVar(&i.force, "force", false, "replace files that were changed by hand")
	return cmd
}

func uninstallCommand(streams cli.IO) *cobra.Command {
	u := removal{streams: streams}
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Take away all that install placed",
		Long: `Take away all that install placed: the line of gitlab.rb, the extension of
gitlab-ctl, the units and the topology's files. gitlab.rb is then what it was
before, byte for byte. The next gitlab-ctl reconfigure makes Omnibus's own
configuration effective again.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return u.run(cmd.Context()) },
	}
	cmd.Flags().StringVar(&u.host.root, "root", "/", "where the machine's files are")
	return cmd
}

func reconfigureCommand(streams cli.IO) *cobra.Command {
	r := reconfiguration{streams: streams}
	cmd := &cobra.Command{
		Use:   "reconfigure",
		Short: "Render what is installed again, and reload what reads it",
		Long: `Render what is installed again from kasgen.yaml, have it checked, place it, and
reload what reads it. gitlab-ctl reconfigure does this by itself where install
has placed its extension; in a container GITLAB_POST_RECONFIGURE_SCRIPT may, and
elsewhere cron or Ansible.

If nothing is to be changed it says so and exits with 0. Nothing is restarted.
A file that GitLab's nginx refuses is taken back, with all others.`,
		Example: `  kasgen omnibus reconfigure --check
  kasgen omnibus reconfigure && gitlab-ctl reconfigure`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return r.run(cmd.Context()) },
	}
	flags(cmd, &r.options)
	f := cmd.Flags()
	f.BoolVar(&r.check, "check", false, "write nothing; exit 2 if anything would be changed")
	f.BoolVar(&r.force, "force", false, "replace files that were changed by hand")
	f.StringVar(&r.hook, "hook", "", "which hook of gitlab-ctl this is: pre or post, or recover where pre was ended; exit 86 refuses")
	cli.Complete(cmd, "hook", func() []string { return []string{"pre", "post", "recover"} })
	return cmd
}

func statusCommand(streams cli.IO) *cobra.Command {
	s := inspection{streams: streams}
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Print what is installed, and whether it is in effect",
		Long: `Print what is installed, and whether it is in effect: the package, the line of
gitlab.rb, files that differ from what would be rendered, and keys that a later
line of gitlab.rb overrules. The exit code is 2 if anything is not as it would
be.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return s.run() },
	}
	flags(cmd, &s.options)
	return cmd
}

func diffCommand(streams cli.IO) *cobra.Command {
	s := inspection{streams: streams, diff: true}
	cmd := &cobra.Command{
		Use:   "diff",
		Short: "Print what reconfigure would change, and what that costs",
		Long: `Print what reconfigure would change, and what that costs: which programs are
reloaded, which agents reconnect, which streams are cut. The exit code is 2 if
there are differences. Nothing is written.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return s.run() },
	}
	flags(cmd, &s.options)
	return cmd
}
