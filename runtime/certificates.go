package runtime

import (
	"cmp"
	"context"
	"fmt"
	"io"
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
	found := onDisk(certs.Findings(all, time.Now()))
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

// onDisk are findings of who knows the files and no process: a certificate that
// works is never taken away for one that does not.
func onDisk(found diag.Findings) diag.Findings {
	for i := range found {
		if found[i].Code == certs.CodeNone {
			found[i].Why = "this is what lies on disk: who starts gets no client through TLS for this name, and a process that runs may still serve the one before"
		}
	}
	return found
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

// certificates are those that the bundle's listeners serve and those that are
// obtained for it; of one that lies there in several forms each is told.
func (b *Bundle) certificates(ctx context.Context, moved string) []certs.Status {
	development := b.Development(moved)
	obtained := b.cached(ctx, moved)
	var all []certs.Status
	for _, s := range b.served() {
		of, isObtained := obtained[s.Certificate]
		s.Certificate, s.Key = b.Redirect(s.Certificate, moved), b.Redirect(s.Key, moved)
		st := s.Inspect(os.ReadFile)
		if i := slices.IndexFunc(development, func(i state.Item) bool {
			return i.Kind == state.Certificate && (i.Path == s.Certificate || state.CombinedPath(i.Path) == s.Certificate)
		}); i >= 0 {
			st.Source = "development"
		}
		if isObtained {
			if !there(s.Certificate) {
				st.Error = "none has been obtained yet"
			}
			if st.NotAfter.IsZero() {
				st.Names = of.Names
			}
			st.Source, st.Renewal, st.Retry, st.Error = of.Source, of.Renewal, of.Retry, cmp.Or(of.Error, st.Error)
		}
		all = append(all, st)
	}
	return all
}

// served are the pairs that listeners show to clients, or will once they are
// obtained, in the order of their files.
func (b *Bundle) served() []certs.Served {
	var all []certs.Served
	add := func(pairs []certs.Served) {
		for _, p := range pairs {
			all = certs.Add(all, p)
		}
	}
	for _, f := range b.fronts() {
		add(f.Pairs())
	}
	if b.edge != nil {
		add(b.edge.Pairs())
	}
	if b.kas != nil {
		add(b.kas.Pairs())
	}
	if b.certs != nil {
		add(b.certs.Pairs())
	}
	slices.SortStableFunc(all, func(a, b certs.Served) int { return cmp.Compare(a.Certificate, b.Certificate) })
	return all
}

// names are those of kas, as far as the bundle says.
func (b *Bundle) names() []string {
	if b.Lock == nil || b.Lock.Names == nil {
		return nil
	}
	names := []string{b.Lock.Names.KAS.Name}
	if g := b.Lock.Names.GRPC; g != nil && g.Name != names[0] {
		names = append(names, g.Name)
	}
	return names
}
