package runtime

import (
	"github.com/spf13/cobra"

	"kasgen/internal/cli"
)

func certsCommand(streams cli.IO) *cobra.Command {
	cmd := &cobra.Command{Use: "certs", Short: "Look at a bundle's certificates, obtain them, and hand them on"}
	cmd.AddCommand(certsStatusCommand(streams), certsIssueCommand(streams), certsRenewCommand(streams), certsExportCommand(streams))
	return cmd
}

// addState is the flag that every one of them has.
func addState(cmd *cobra.Command, moved *string) {
	cmd.Flags().StringVar(moved, "state", "", "use this directory in place of the bundle's state directory")
}

func certsStatusCommand(streams cli.IO) *cobra.Command {
	var moved string
	format := cli.Text
	cmd := &cobra.Command{
		Use:   "status DIR",
		Short: "Print names, issuer, expiry and next renewal of the certificates that a bundle's files name",
		Long: `Status reads the certificates that the files of a bundle name, as they lie on
disk, and prints what they say, and for those that are obtained from a CA when
the next is and what went wrong last. One that is missing, broken or has 7 days
left at the most is an error; one with 20 days a warning.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return certsStatus(cmd.Context(), streams, args[0], moved, format)
		},
	}
	addState(cmd, &moved)
	cli.AddFormat(cmd, &format)
	cli.CompleteDir(cmd)
	return cmd
}

func certsIssueCommand(streams cli.IO) *cobra.Command {
	var moved string
	var rehearse bool
	cmd := &cobra.Command{
		Use:   "issue DIR",
		Short: "Obtain the certificates that are missing or due",
		Long: `Issue obtains from the CA what is missing or due, and puts it where a running
kasgen finds it within seconds. The CA's questions are answered by what runs:
by the edge or by who listens on port 80.

With --dry-run nothing is asked of the CA and nothing is kept: the bundle's own
roles are started on free ports of loopback, with a test CA in this process that
validates by connecting to them.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if rehearse {
				return rehearsal(cmd.Context(), streams, args[0], moved)
			}
			return certsObtain(cmd.Context(), streams, args[0], moved, false)
		},
	}
	addState(cmd, &moved)
	cmd.Flags().BoolVar(&rehearse, "dry-run", false, "rehearse it against a test CA in this process")
	cli.CompleteDir(cmd)
	return cmd
}

func certsRenewCommand(streams cli.IO) *cobra.Command {
	var moved string
	cmd := &cobra.Command{
		Use:   "renew DIR",
		Short: "Obtain every certificate anew, now",
		Long: `Renew obtains every certificate anew, whatever its age, unless the CA has asked
not to be asked. It takes the lock that replicas share; what runs finds the new
certificates in the cache within seconds, and no stream ends for them.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return certsObtain(cmd.Context(), streams, args[0], moved, true)
		},
	}
	addState(cmd, &moved)
	cli.CompleteDir(cmd)
	return cmd
}

func certsExportCommand(streams cli.IO) *cobra.Command {
	var moved string
	cmd := &cobra.Command{
		Use:   "export DIR TO",
		Short: "Write certificates and keys for other programs",
		Long: `Export writes each certificate of a bundle into the directory TO, named by its
first name: NAME.crt with its chain, NAME.key, and both in NAME.pem, with mode
0600. The root of a development CA becomes ca.crt.`,
		Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			return certsExport(streams, args[0], args[1], moved)
		},
	}
	addState(cmd, &moved)
	cli.CompleteDir(cmd)
	return cmd
}
