package layout_test

import (
	"os"
	"path/filepath"
	"testing"

	"kasgen/internal/layout"
)

// TestOf tells bundles from machines, and finds the files of both.
func TestOf(t *testing.T) {
	t.Parallel()
	bundle, machine := t.TempDir(), t.TempDir()
	for _, path := range []string{filepath.Join(bundle, "kasgen.lock.yaml"), filepath.Join(machine, "etc/gitlab/kasgen/kasgen.lock.yaml")} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, m, none := layout.Of(bundle), layout.Of(machine), layout.Of(t.TempDir())
	if b.Machine() || !m.Machine() || none.Machine() {
		t.Error("taken for the other", b, m, none)
	}
	if got := m.Nginx() + b.Nginx(); got != "" {
		t.Errorf("GitLab's nginx is found at %s", got)
	}
	own := machine + "/opt/gitlab/embedded/sbin/nginx"
	if err := os.MkdirAll(filepath.Dir(own), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(own, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	for got, want := range map[string]string{
		b.Path(layout.Web):  bundle + "/nginx/nginx.conf",
		m.Path(layout.Web):  machine + "/var/opt/gitlab/nginx/conf/nginx.conf",
		m.Path(layout.KAS):  machine + "/var/opt/gitlab/gitlab-kas/gitlab-kas-config.yml",
		m.Path(layout.Edge): machine + "/etc/gitlab/kasgen/edge/edge.yaml",
		m.Nginx():           own,
		b.Below("/etc/x"):   "/etc/x",
		m.Below("/etc/x"):   machine + "/etc/x",
		m.Below("x"):        "x",

		m.Below(machine + "/x"): machine + "/x",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
