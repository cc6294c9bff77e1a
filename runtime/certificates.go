package runtime

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"kasgen/internal/cli"
	"kasgen/internal/diag"
	"kasgen/runtime/certs"
	"kasgen/runtime/state"
)

func certsCommand(streams cli.IO) *cobra.Command {
	cmd := &cobra.Command{Use: "certs", Short: "What is known of a bundle's certificates"}
	var moved string
	format := cli.Text
	status := &cobra.Command{
		Use:   "status DIR",
		Short: "Print names, issuer and expiry of the certificates that a bundle's files name",
		Long: `Status reads the certificates that the files of a bundle name, as they lie on
disk, and prints what they say. One that is missing, broken or has 7 days left
at the most is an error; one with 20 days a warning.`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return certsStatus(streams, args[0], moved, format)
		},
	}
	status.Flags().StringVar(&moved, "state", "", "use this directory in place of the bundle's state directory")
	cli.AddFormat(status, &format)
	cli.CompleteDir(status)
	cmd.AddCommand(status)
	return cmd
}

func certsStatus(streams cli.IO, dir, moved string, format cli.Format) error {
	b, err := Read(dir, All, "")
	if err != nil {
		return cli.Report(streams, format, err, b.Subjects()...)
	}
	all := b.certificates(moved)
	found := certs.Findings(all, time.Now())
	switch format {
	case cli.JSON:
		err = cli.PrintJSON(streams.Out, map[string]any{"certificates": all, "findings": append(diag.Findings{}, found...)})
	case cli.Text:
		w := tabwriter.NewWriter(streams.Out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "CERTIFICATE\tSOURCE\tNAMES\tISSUER\tEXPIRES")
		for _, s := range all {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", s.ID, s.Source, strings.Join(s.Names, ","), s.Issuer, expires(s))
		}
		if err = w.Flush(); err == nil {
			err = found.WriteText(streams.Err)
		}
	default:
		err = cli.PrintFindings(streams, format, found, b.Subjects()...)
	}
	if err == nil && found.Failed() {
		return cli.Exit{Code: cli.Failure}
	}
	return err
}

func expires(s certs.Status) string {
	if s.NotAfter.IsZero() {
		return "-"
	}
	return s.NotAfter.UTC().Format(time.RFC3339)
}

// certificates are those that the bundle's files name; of one that lies there in
// several forms each is told.
func (b *Bundle) certificates(moved string) []certs.Status {
	development := b.Development(moved)
	var all []certs.Status
	for _, path := range b.Files() {
		at := b.Redirect(path, moved)
		s := certs.Status{ID: at, Source: "files", Names: []string{}}
		if i := slices.IndexFunc(development, func(i state.Item) bool {
			return i.Kind == state.Certificate && (i.Path == at || state.CombinedPath(i.Path) == at)
		}); i >= 0 {
			s.Source, s.Names = "development", development[i].Names
		}
		leaf, err := leafIn(at)
		switch {
		case leaf != nil && leaf.IsCA, leaf == nil && err == nil:
			continue // whom we trust, a key or a secret
		case errors.Is(err, fs.ErrNotExist) && s.Source == "files" && !strings.HasSuffix(at, ".crt") && !strings.HasSuffix(at, ".pem"):
			continue // by its name it is no certificate
		case err != nil:
			s.Error = err.Error()
		default:
			s.Names, s.Issuer = leaf.DNSNames, leaf.Issuer.CommonName
			s.NotBefore, s.NotAfter = leaf.NotBefore, leaf.NotAfter
		}
		all = append(all, s)
	}
	return all
}

// leafIn is the first certificate in a file, nil if it holds none.
func leafIn(path string) (*x509.Certificate, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			return x509.ParseCertificate(block.Bytes)
		}
	}
	return nil, nil
}
