package omnibus_test

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kasgen/omnibus/omnibustest"
)

// TestInstallAsks: gitlab.rb is changed by a y and by nothing else; without it
// everything else is placed, and the line is printed for the user to add.
func TestInstallAsks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer string
		added  bool
	}{
		"y":                      {"y\n", true},
		"Y":                      {" Y \n", true},
		"y without a line's end": {"y", true},
		"n":                      {"n\n", false},
		"another word":           {"yet\n", false},
		"an empty line":          {"\ny\n", false},
		"the end of input":       {"", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			before := omnibustest.Read(t, m.at("etc/gitlab/gitlab.rb"))
			cmd := exec.CommandContext(t.Context(), m.binary, "omnibus", "install", "-f", m.spec(hostSpec))
			var out, errs strings.Builder
			cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = m.env, strings.NewReader(c.answer), &out, &errs
			if err := cmd.Run(); err != nil {
				t.Fatalf("%v\n%s", err, errs.String())
			}
			if !strings.Contains(errs.String(), "add \"from_file '/etc/gitlab/kasgen/kasgen.rb'\" to "+m.at("etc/gitlab/gitlab.rb")+"? [y/N] ") {
				t.Errorf("nothing is asked: %s", errs.String())
			}
			want, said := before, "add this to the end of /etc/gitlab/gitlab.rb:\n\n  from_file '/etc/gitlab/kasgen/kasgen.rb'\n\nand run gitlab-ctl reconfigure\n"
			if c.added {
				want, said = before+"\n# Written by `kasgen omnibus install`; a line below it wins over what it reads. (no newline before)"+omnibustest.Line, "installed; it takes effect with gitlab-ctl reconfigure\n"
			}
			if d := cmp.Diff(want, omnibustest.Read(t, m.at("etc/gitlab/gitlab.rb"))); d != "" {
				t.Errorf("gitlab.rb (-want +got):\n%s", d)
			}
			if !strings.HasSuffix(out.String(), said) {
				t.Errorf("%q is not the end of %s", said, out.String())
			}
			for _, file := range []string{"etc/gitlab/kasgen/kasgen.rb", "etc/gitlab/kasgen.yaml", "opt/gitlab/embedded/service/omnibus-ctl-kasgen/kasgen.rb"} {
				omnibustest.Read(t, m.at(file))
			}
			// What gitlab.rb says already is not asked for.
			again := exec.CommandContext(t.Context(), m.binary, "omnibus", "install", "-f", m.spec(hostSpec))
			again.Env = m.env
			text, err := again.CombinedOutput()
			if err != nil {
				t.Errorf("a second run: %v\n%s", err, text)
			}
			if asks := strings.Contains(string(text), "? [y/N]"); asks == c.added {
				t.Errorf("a second run that asks: %v\n%s", asks, text)
			}
		})
	}
}
