package kas

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kasgen/internal/diag"
)

// script is a command that a file may name.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a script") // with a space, to be quoted
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return `/bin/sh "` + path + `"`
}

func withCommand(t *testing.T, command string, options ...Option) *Config {
	t.Helper()
	c, err := Load("kas-config.yaml", []byte("config: {command: '"+strings.ReplaceAll(command, "'", "''")+"'}\napi: {listen: {authentication_secret_file: a}}\ngitlab: {address: 'https://gitlab.example.com'}\n"), options...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestComplete(t *testing.T) {
	t.Parallel()
	path := script(t, `printf 'gitlab: {authentication_secret_file: "%s"}\n' "$1"
printf 'private_api: {listen: {authentication_secret_file: p}}\nobservability: {usage_reporting_period: 60s}\n'
echo "nobody reads this" >&2
`)
	c := withCommand(t, path+` /s/git\ lab`)
	if files := c.Files(); !cmp.Equal(files, []string{"a"}) {
		t.Errorf("before, the files are %q", files)
	}
	whole, err := c.Complete(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"/s/git lab", "a", "p"}, whole.Files()); d != "" {
		t.Errorf("files (-want +got):\n%s", d)
	}
	if w := whole.Warnings(); len(w) != 1 || w[0].Code != CodeUnused || w[0].File != "output of config.command" {
		t.Errorf("warnings: %v", w)
	}
	if !strings.Contains(string(whole.Extra()), "/s/git lab") {
		t.Errorf("extra: %q", whole.Extra())
	}
	if again, err := whole.Complete(t.Context()); again != whole || err != nil {
		t.Errorf("run twice: %v, %v", again, err)
	}
	without, err := Load("k", []byte(least))
	if err != nil {
		t.Fatal(err)
	}
	if same, err := without.Complete(t.Context()); same != without || err != nil {
		t.Errorf("without a command: %v, %v", same, err)
	}
}

func TestCompleteFaults(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		command string
		want    []string // file, code and a part of what
	}{
		"not there":       {"/nonexistent/command", []string{"kas-config.yaml KAS3004 no such file"}},
		"fails":           {script(t, "echo first >&2; echo the vault is sealed >&2; exit 3"), []string{"kas-config.yaml KAS3004 exit status 3: the vault is sealed"}},
		"no words":        {"   ", []string{"kas-config.yaml KAS3004 no words"}},
		"open quotation":  {"/bin/echo 'x", []string{"kas-config.yaml KAS3004 quotation"}},
		"not YAML":        {`/bin/echo "{"`, []string{"output of config.command KAS1001 not YAML"}},
		"unknown key":     {`/bin/echo "{gitlab: {password: hunter2, authentication_secret_file: g}, private_api: {listen: {authentication_secret_file: p}}}"`, []string{"output of config.command KAS1005 password"}},
		"still not whole": {`/bin/true`, []string{"kas-config.yaml KAS1201 private_api", "kas-config.yaml KAS1201 gitlab.authentication_secret_file"}},
		"redis":           {`/bin/echo "{gitlab: {authentication_secret_file: g}, private_api: {listen: {authentication_secret_file: p}}, redis: {server: {address: 'r:1'}}}"`, []string{"output of config.command KAS3003 redis"}},
		"too long":        {script(t, "head -c 300000 /dev/zero | tr '\\0' '#'"), []string{"output of config.command KAS1003 bytes"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := withCommand(t, tt.command).Complete(t.Context())
			fs, _ := errors.AsType[diag.Findings](err)
			var faults diag.Findings
			for _, f := range fs {
				if f.Severity == diag.Error {
					faults = append(faults, f)
				}
			}
			if len(faults) != len(tt.want) {
				t.Fatalf("got %v, want %q", err, tt.want)
			}
			for i, want := range tt.want {
				f := faults[i]
				if got := f.File + " " + f.Code + " "; !strings.HasPrefix(want, got) || !strings.Contains(f.What, strings.TrimPrefix(want, got)) {
					t.Errorf("got %v, want %s", f, want)
				}
				if strings.Contains(f.What+f.Why+f.Fix, "hunter2") {
					t.Errorf("%v repeats a secret", f)
				}
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := withCommand(t, "/bin/sleep 60").Complete(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][]string{
		`/bin/x`:              {"/bin/x"},
		"  /bin/x \t a\nb  ":  {"/bin/x", "a", "b"},
		`x 'a b' "c d" e\ f`:  {"x", "a b", "c d", "e f"},
		`x a'b'"c"d`:          {"x", "abcd"},
		`x '' ""`:             {"x", "", ""},
		`x '\' "\"\\\$\a"`:    {"x", `\`, `"\$\a`},
		`x "it's" 'say "hi"'`: {"x", "it's", `say "hi"`},
		`$(x) ; | > *`:        {"$(x)", ";", "|", ">", "*"},
	} {
		got, err := words(in)
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", in, err, d)
		}
	}
	for _, in := range []string{"", " ", `'a`, `"a`, `a\`, `"a\`} {
		if got, err := words(in); err == nil {
			t.Errorf("%q: %q", in, got)
		}
	}
}

// FuzzWords: quoting any words gives them back.
func FuzzWords(f *testing.F) {
	f.Add("a", "b c", `d'"\`)
	f.Add("", "\n", "$")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		want := []string{a, b, c}
		var quoted []string
		for _, w := range want {
			quoted = append(quoted, "'"+strings.ReplaceAll(w, "'", `'\''`)+"'")
		}
		got, err := words(strings.Join(quoted, " "))
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Errorf("%v (-want +got):\n%s", err, d)
		}
		_, _ = words(a) // must not panic
	})
}
