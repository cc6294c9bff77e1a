package runtime

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"kasgen/internal/cli"
	"kasgen/internal/diag"
	"kasgen/runtime/certs"
	"kasgen/runtime/state"
)

func certsStatus(ctx context.Context, streams cli.IO, dir, moved string, format cli.Format) error {
	b, err := Read(dir, All, Memory) // kas has no part in it
	if err != nil {
		return cli.Report(streams, format, err, b.Subjects()...)
	}
	all := b.certificates(ctx, moved)
	found := certs.Findings(all, time.Now())
	switch format {
	case cli.JSON:
		err = cli.PrintJSON(streams.Out, map[string]any{"certificates": all, "findings": append(diag.Findings{}, found...)})
	case cli.Text:
		if err = printCertificates(streams.Out, all); err == nil {
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

func printCertificates(out io.Writer, all []certs.Status) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CERTIFICATE\tSOURCE\tNAMES\tISSUER\tEXPIRES\tRENEWAL")
	for _, s := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", s.ID, s.Source, strings.Join(s.Names, ","), s.Issuer, moment(s.NotAfter), moment(s.Renewal))
	}
	return w.Flush()
}

func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

// certificates are those that the bundle's files name; of one that lies there in
// several forms each is told.
func (b *Bundle) certificates(ctx context.Context, moved string) []certs.Status {
	development := b.Development(moved)
	obtained := b.cached(ctx, moved)
	var all []certs.Status
	files := b.Files()
	if b.certs != nil {
		files = append(files, b.certs.Written()...)
		slices.Sort(files)
	}
	for _, path := range slices.Compact(files) {
		at := b.Redirect(path, moved)
		s := certs.Status{ID: at, Source: "files", Names: []string{}}
		if i := slices.IndexFunc(development, func(i state.Item) bool {
			return i.Kind == state.Certificate && (i.Path == at || state.CombinedPath(i.Path) == at)
		}); i >= 0 {
			s.Source, s.Names = "development", development[i].Names
		}
		if of, ok := obtained[path]; ok {
			s.Source, s.Names, s.Renewal, s.Error, s.Retry = of.Source, of.Names, of.Renewal, of.Error, of.Retry
		}
		leaf, err := leafIn(at)
		switch {
		case leaf != nil && leaf.IsCA, leaf == nil && err == nil:
			continue // whom we trust, a key or a secret
		case errors.Is(err, fs.ErrNotExist) && s.Source == "files" && !strings.HasSuffix(at, ".crt") && !strings.HasSuffix(at, ".pem"):
			continue // by its name it is no certificate
		case err != nil && s.Source == "acme" && errors.Is(err, fs.ErrNotExist):
			s.Error = cmp.Or(s.Error, "none has been obtained yet")
		case err != nil:
			s.Error = err.Error()
		default:
			if !certs.IsPlaceholder(leaf) {
				s.Names = certs.Names(leaf)
			}
			s.Describe(leaf)
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
	return leafOf(data)
}

// leafOf is the first certificate in PEM, nil if there is none.
func leafOf(data []byte) (*x509.Certificate, error) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			return x509.ParseCertificate(block.Bytes)
		}
	}
	return nil, nil
}
