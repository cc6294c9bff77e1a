package explain_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kasgen/internal/explain"
)

// literal finds a code in Go's text. Codes are only ever written out whole.
var literal = regexp.MustCompile(`"(KAS\d{4})"`)

// used lists the codes in the program's own text.
func used(t *testing.T) []string {
	t.Helper()
	var codes []string
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (strings.HasPrefix(d.Name(), ".") && len(d.Name()) > 2 || d.Name() == "testdata"):
			return fs.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range literal.FindAllStringSubmatch(string(text), -1) {
			codes = append(codes, m[1])
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

// TestEveryCode holds docs/findings.md to the program: a code without an entry
// and an entry without a code both fail.
func TestEveryCode(t *testing.T) {
	t.Parallel()
	var written []string
	for _, e := range explain.All() {
		written = append(written, e.Code)
	}
	if d := cmp.Diff(used(t), written); d != "" {
		t.Errorf("codes in the source (-) and entries in docs/findings.md (+) differ:\n%s", d)
	}
}

// TestEntries holds titles to phrases and the rest to sentences.
func TestEntries(t *testing.T) {
	t.Parallel()
	for _, e := range explain.All() {
		if strings.HasSuffix(e.Title, ".") || strings.ToLower(e.Title[:1]) != e.Title[:1] && !regexp.MustCompile("^[A-Z]{2}|^GitLab|^`|^HAProxy").MatchString(e.Title) {
			t.Errorf("%s: the title %q is no phrase", e.Code, e.Title)
		}
		for _, part := range []string{e.What, e.Why, e.Fix} {
			if !strings.HasSuffix(part, ".") {
				t.Errorf("%s: %q is no sentence", e.Code, part)
			}
		}
	}
}

func TestLookup(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"KAS1203", "kas1203", "Kas1203"} {
		if e, ok := explain.Lookup(code); !ok || e.Code != "KAS1203" {
			t.Errorf("%s: %v, %v", code, e.Code, ok)
		}
	}
	if _, ok := explain.Lookup("KAS9999"); ok {
		t.Error("KAS9999 is known")
	}
	if got := explain.Nearest("kas3011"); got != "KAS3001" {
		t.Errorf("the nearest to kas3011 is %q", got)
	}
	if got := explain.Nearest("3101"); got != "KAS3101" {
		t.Errorf("the nearest to 3101 is %q", got)
	}
	if got := explain.Nearest("colour"); got != "" {
		t.Errorf("the nearest to colour is %q", got)
	}
	// What a caller does with the list is its own affair.
	explain.All()[0].Code = "changed"
	if explain.All()[0].Code == "changed" {
		t.Error("the list is shared")
	}
}

const whole = "# F\n\nwords\n\n## KAS10xx: files\n\n### KAS1001 (warning): a title\n\nWhat\nit is.\n\n**Why**: because\nof that.\n\n**Fix**: do it.\n\n```yaml\na: 1\n\nb: 2\n```\n"

func TestParse(t *testing.T) {
	t.Parallel()
	got, err := explain.Parse(whole)
	want := []explain.Entry{{
		Code: "KAS1001", Title: "a title", Severity: explain.Warning, About: "files",
		What: "What it is.", Why: "because of that.", Fix: "do it.", Example: "a: 1\n\nb: 2\n", Language: "yaml",
	}}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Error(err, d)
	}
	again, err := explain.Parse("## KAS10xx: files\n\n### KAS1001 (warning): a title\n\n" + got[0].Markdown())
	if d := cmp.Diff(want, again); d != "" || err != nil {
		t.Error(err, d)
	}
	for name, edit := range map[string][3]string{ // what, by what, the error
		"no example":       {"```yaml\na: 1\n\nb: 2\n```\n", "", "lacks"},
		"no reason":        {"**Why**: because\nof that.\n\n", "", "lacks"},
		"two reasons":      {"**Fix**: do it.", "**Why**: do it.", "second such"},
		"two paragraphs":   {"What\nit is.", "What\n\nit is.", "second such"},
		"open example":     {"b: 2\n```\n", "b: 2\n", "not closed"},
		"no section":       {"## KAS10xx: files\n", "", "before the first section"},
		"heading":          {"### KAS1001 (warning): a title", "### KAS1001 a title", "neither"},
		"severity":         {"(warning)", "(fatal)", "neither"},
		"out of order":     {"b: 2\n```\n", "b: 2\n```\n### KAS1000: b\n", "behind"},
		"twice":            {"b: 2\n```\n", "b: 2\n```\n### KAS1001: b\n", "behind"},
		"a second example": {"b: 2\n```\n", "b: 2\n```\n```\nc\n```\n", "second example"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := strings.Replace(whole, edit[0], edit[1], 1)
			if text == whole {
				t.Fatal("nothing was replaced")
			}
			if _, err := explain.Parse(text); err == nil || !strings.Contains(err.Error(), edit[2]) {
				t.Errorf("got %v, want %q", err, edit[2])
			}
		})
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	e := explain.Entry{
		Code: "KAS1", Title: "a title", Severity: explain.Either, About: "files",
		What: "The `word` is " + strings.Repeat("long ", 20) + "here.", Why: strings.Repeat("because ", 12) + "so.", Fix: "do it.",
		Example: "a: 1\n",
	}
	var out strings.Builder
	if err := e.WriteText(&out); err != nil {
		t.Fatal(err)
	}
	want := `KAS1: a title
error or warning · files

The word is long long long long long long long long long long long long long
long long long long long long long here.

why: because because because because because because because because because
     because because because so.
fix: do it.

example:
  a: 1
`
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Error(d)
	}
	for _, e := range explain.All() {
		out.Reset()
		if err := e.WriteText(&out); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			if !strings.HasPrefix(line, "  ") && len(line) > 100 {
				t.Errorf("%s: a line of %d bytes", e.Code, len(line))
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(whole)
	f.Add("## KAS10xx: a\n### KAS1001: b\n```")
	f.Fuzz(func(t *testing.T, text string) {
		list, err := explain.Parse(text)
		if err != nil && list != nil {
			t.Fatal("entries of a faulty text")
		}
	})
}
