package manual_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"kasgen/internal/cli"
	"kasgen/internal/explain"
	"kasgen/internal/judge"
	"kasgen/internal/manual"
)

// run is one command line.
func run(args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	streams := cli.IO{In: &bytes.Buffer{}, Out: &o, Err: &e}
	code = cli.Run(context.Background(), cli.Root(streams, manual.Commands(streams)...), args)
	return code, o.String(), e.String()
}

func TestExplain(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		args string
		code int
		out  string // a part of it
		errs string
	}{
		"a code":          {"explain KAS1203", 0, "KAS1203: a duration that must be positive\nerror · kas/kas-config.yaml\n", ""},
		"in small":        {"explain kas1203", 0, "KAS1203: a duration", ""},
		"two":             {"explain KAS1203 KAS1204", 0, "\n\nKAS1204: ", ""},
		"JSON":            {"explain --format=json KAS1203", 0, `"code": "KAS1203"`, ""},
		"all":             {"explain", 0, "\nkas/kas-config.yaml\n  KAS1201  ", ""},
		"all as JSON":     {"explain --format json", 0, `"code": "KAS1001"`, ""},
		"unknown, near":   {"explain KAS31O1", cli.Misuse, "", "error: there is no code \"KAS31O1\": did you mean KAS3101?\n"},
		"a bare number":   {"explain 3101", cli.Misuse, "", "error: there is no code \"3101\": did you mean KAS3101?\n"},
		"unknown, far":    {"explain colour", cli.Misuse, "", "error: there is no code \"colour\": `kasgen explain` lists all of them\n"},
		"some unknown":    {"explain KAS1203 KAS1 x", cli.Misuse, "", "error: there is no code \"KAS1\": "},
		"SARIF is no use": {"explain --format=sarif", cli.Misuse, "", "it is text or json"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, out, errs := run(strings.Fields(tc.args)...)
			if code != tc.code || !strings.Contains(out, tc.out) || !strings.Contains(errs, tc.errs) {
				t.Errorf("exit code %d\n%s\n%s", code, out, errs)
			}
			if tc.code != 0 && out != "" || tc.code == 0 && errs != "" {
				t.Errorf("on the wrong stream: %q, %q", out, errs)
			}
		})
	}
	_, out, _ := run("explain")
	for _, e := range explain.All() {
		if !strings.Contains(out, e.Code+"  "+e.Title+"\n") {
			t.Errorf("%s is not listed", e.Code)
		}
	}
}

func TestComplete(t *testing.T) {
	t.Parallel()
	_, out, _ := run("__complete", "explain", "kas120")
	if !strings.HasPrefix(out, "KAS1201\ta section or field that kas does not start without\nKAS1202\t") || !strings.HasSuffix(out, "\n:4\n") {
		t.Error(out)
	}
	if _, out, _ = run("__complete", "explain", "kas1201", "KAS120"); strings.Contains(out, "KAS1201") || !strings.Contains(out, "KAS1202") {
		t.Error(out)
	}
	if _, out, _ = run("__complete", "explain", "--format", ""); out != "text\njson\n:4\n" {
		t.Error(out)
	}
}

// tree has a command with everything that a page shows.
func tree() *cobra.Command {
	streams := cli.IO{In: &bytes.Buffer{}, Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}
	do := &cobra.Command{
		Use: "do-it FILE", Short: "Do it",
		Long:    "Do it, with 'quotes', a back\\slash and - dashes.\n.starts with a dot\n\nThen:\n\n  a table:\n    deeper\n\n  after a gap\n\nThe end.",
		Example: "  kasgen do-it x",
		Run:     func(*cobra.Command, []string) {},
	}
	do.Flags().StringP("output", "o", "here", "write to `DIR`")
	do.Flags().Bool("quiet", false, "say nothing")
	do.Flags().Bool("secret", false, "not for everybody")
	do.Flags().Lookup("secret").Hidden = true
	cli.AddOverrides(do, []cli.Override{{Flag: "kas-name", Field: "names.kas", Usage: "host name"}})
	hidden := &cobra.Command{Use: "hidden", Hidden: true, Run: func(*cobra.Command, []string) {}}
	return cli.Root(streams, do, hidden)
}

func TestPage(t *testing.T) {
	t.Parallel()
	pages := manual.Pages(tree())
	var names []string
	var got string
	for _, p := range pages {
		names = append(names, p.Name)
		if p.Name == "kasgen-do-it.1" {
			got = p.Text
		}
	}
	if d := cmp.Diff([]string{"kasgen.1", "kasgen-completion.1", "kasgen-completion-bash.1", "kasgen-completion-fish.1", "kasgen-completion-powershell.1", "kasgen-completion-zsh.1", "kasgen-do-it.1"}, names); d != "" {
		t.Error(d)
	}
	want := `.TH "KASGEN\-DO\-IT" "1" "" "kasgen ` + cli.Version + `" "kasgen"
.SH "NAME"
kasgen\-do\-it \- do it
.SH "SYNOPSIS"
.B "kasgen do\-it FILE [flags]"
.SH "DESCRIPTION"
Do it, with \(aqquotes\(aq, a back\eslash and \- dashes.
\&.starts with a dot
.PP
Then:
.PP
.PP
.nf
a table:
  deeper

after a gap

.fi
The end.
.SH "OPTIONS"
.TP
.B "\-\-kas\-name=string"
host name (names.kas)
.TP
.B "\-o, \-\-output=DIR"
write to DIR (default here)
.TP
.B "\-\-quiet"
say nothing
.SH "ENVIRONMENT"
.TP
.B "KASGEN_KAS_NAME"
as \-\-kas\-name, which wins over it
.SH "EXIT STATUS"
.TP
.B "0"
done, or no difference
.TP
.B "1"
failure
.TP
.B "2"
differences
.TP
.B "3"
wrong usage
.SH "EXAMPLES"
.PP
.nf
kasgen do\-it x
.fi
.SH "SEE ALSO"
kasgen(1), kasgen\-completion(1)
`
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestGroff holds the pages to the program that sets them.
func TestGroff(t *testing.T) {
	t.Parallel()
	groff := judge.Find(t, "groff")
	dir := filepath.Join(t.TempDir(), "man")
	if code, _, errs := run("man", dir); code != 0 {
		t.Fatal(errs)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.1"))
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	for _, p := range manual.Pages(tree()) {
		path := filepath.Join(dir, "tree-"+p.Name)
		if err := os.WriteFile(path, []byte(p.Text), 0o600); err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
	}
	for _, file := range files {
		out, err := exec.Command(groff, "-man", "-ww", "-z", "-Tutf8", file).CombinedOutput()
		if err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", file, err, out)
		}
	}
}
