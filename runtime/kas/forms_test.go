package kas

import (
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"kasgen/internal/diag"
	"kasgen/internal/kasconf"
)

var update = flag.Bool("update", false, "rewrite the goldens")

// TestForms: the files that GitLab's packages write, by version, are run when
// the registry is in memory; the version that they name accepts them, the
// version before or after it does not.
func TestForms(t *testing.T) {
	archive, err := txtar.ParseFile("testdata/forms.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(archive.Files); i += 2 {
		file, want := archive.Files[i], &archive.Files[i+1]
		t.Run(file.Name, func(t *testing.T) {
			var got strings.Builder
			note := func(fs diag.Findings) {
				for _, f := range fs {
					got.WriteString(string(f.Severity) + " " + f.Code + " " + f.Field + "\n")
				}
			}
			_, err := Load(file.Name, file.Data)
			refusals, _ := errors.AsType[diag.Findings](err)
			note(refusals)
			c, err := Load(file.Name, file.Data, TunnelsInMemory())
			if err != nil {
				t.Fatal(err)
			}
			got.WriteString("in memory:\n")
			note(c.Warnings())
			for _, version := range []string{"16.5", "17.11", "18.2", "18.5"} {
				v, err := kasconf.ParseVersion(version)
				if err != nil {
					t.Fatal(err)
				}
				got.WriteString("GitLab's kas " + version + ":\n")
				note(c.set.CheckGitLab(v))
			}
			if *update {
				want.Data = []byte(got.String())
			}
			if d := cmp.Diff(string(want.Data), got.String()); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
	if *update {
		if err := os.WriteFile("testdata/forms.txtar", txtar.Format(archive), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
