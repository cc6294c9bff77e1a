package units

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"kasgen/internal/judge"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var cases = map[string]struct {
	options Options
	roles   []Role
}{
	"roles": {
		Options{Binary: "/usr/local/bin/kasgen", Bundle: "/etc/kasgen/bundle", StateDir: "/var/lib/kasgen", User: "kasgen", Systemd: 252},
		[]Role{
			{Name: "kas", Description: "kas of topology A", Listen: []string{"127.0.0.1:8150", "127.0.0.1:8154"}, Drain: time.Hour, Connections: 20000},
			{Name: "edge", Description: "the edge of topology A", Listen: []string{"127.0.0.1:9443"}, Drain: 30 * time.Second, Connections: 20000},
			{Name: "front", Description: "the balancer of topology A", Listen: []string{"0.0.0.0:443", "[::]:443", "*:80", "0.0.0.0:1024"}, Drain: 30 * time.Second, Connections: 20000},
		},
	},
	"reload": {
		Options{Binary: "/usr/local/bin/kasgen", Bundle: "/etc/kasgen/bundle", StateDir: "/var/lib/kasgen", User: "kasgen", Systemd: 252,
			Reload: []string{"/bin/systemctl reload haproxy.service", "/bin/echo 100%"}, Watch: []string{"/var/lib/kasgen/tls/kas.pem", "/srv/my 100% own.crt"}},
		[]Role{{Name: "certs", Description: "certificates of topology D", Listen: []string{"127.0.0.1:8156"}, Drain: time.Second}},
	},
	// Nothing that is usual.
	"odd": {
		Options{Binary: "/home/me/100% mine/kasgen", Bundle: `/home/me/a "b" $c\d`, StateDir: "/srv/state of kas", User: "git", Systemd: 257},
		[]Role{{Name: "all", Description: "kas and everything before it of topology D", Listen: []string{"127.0.0.1:8150"}}},
	},
}

func render(t *testing.T, name string) []File {
	t.Helper()
	c := cases[name]
	files, err := Render(c.options, c.roles)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestRender(t *testing.T) {
	t.Parallel()
	for name := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var a txtar.Archive
			for _, f := range render(t, name) {
				a.Files = append(a.Files, txtar.File{Name: f.Name, Data: f.Data})
			}
			golden := filepath.Join("testdata", name+".txtar")
			got := txtar.Format(&a)
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Error(diff)
			}
			again := render(t, name)
			for i, f := range render(t, name) {
				if !bytes.Equal(f.Data, again[i].Data) {
					t.Errorf("%s is not the same each time", f.Name)
				}
			}
		})
	}
}

func TestRenderRefuses(t *testing.T) {
	t.Parallel()
	o := cases["roles"].options
	o.Bundle = "/etc/kasgen\nExecStartPre=/bin/sh"
	if _, err := Render(o, nil); err == nil {
		t.Error("a path became a directive")
	}
}

// analyze is systemd-analyze, which the test needs.
func analyze(t *testing.T) string {
	t.Helper()
	return judge.Find(t, "systemd-analyze")
}

// TestVerify has systemd judge the units.
func TestVerify(t *testing.T) {
	t.Parallel()
	bin := analyze(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	version, err := exec.Command(bin, "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	known, err := strconv.Atoi(regexp.MustCompile(`^systemd (\d+)`).FindStringSubmatch(string(version))[1])
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			o := c.options
			o.Binary = self // it has to be there
			o.Systemd = min(o.Systemd, known)
			files, err := Render(o, c.roles)
			if err != nil {
				t.Fatal(err)
			}
			args := []string{"verify", "--man=no"}
			for _, f := range files {
				if err := os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o644); err != nil {
					t.Fatal(err)
				}
				if !strings.HasSuffix(f.Name, ".conf") {
					args = append(args, filepath.Join(dir, f.Name))
				}
			}
			out, err := exec.Command(bin, args...).CombinedOutput()
			if err != nil || len(out) > 0 {
				t.Errorf("systemd-analyze verify: %v\n%s", err, out)
			}
			for _, f := range files {
				if !strings.HasSuffix(f.Name, ".service") || f.Name == "kasgen-reload.service" { // a command of the operator's, as root
					continue
				}
				// Exposure in tenths: 20 is "OK", an unhardened service has 96.
				out, err := exec.Command(bin, "security", "--offline=yes", "--threshold=20", "--no-pager", filepath.Join(dir, f.Name)).CombinedOutput()
				if err != nil {
					t.Errorf("systemd-analyze security %s: %v\n%s", f.Name, err, out)
				}
			}
		})
	}
}

// TestVerifyCanFail: what passes TestVerify has been looked at.
func TestVerifyCanFail(t *testing.T) {
	t.Parallel()
	bin := analyze(t)
	path := filepath.Join(t.TempDir(), "kasgen-broken.service")
	if err := os.WriteFile(path, []byte("[Service]\nType=teapot\nExecStart=/bin/true\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(bin, "verify", "--man=no", path).CombinedOutput(); err == nil && len(out) == 0 {
		t.Error("systemd-analyze finds no fault in Type=teapot")
	}
}

func TestSysusers(t *testing.T) {
	t.Parallel()
	bin := judge.Find(t, "systemd-sysusers")
	for _, f := range render(t, "roles") {
		if f.Name != "kasgen.sysusers.conf" {
			continue
		}
		path := filepath.Join(t.TempDir(), f.Name)
		if err := os.WriteFile(path, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(bin, "--dry-run", path).CombinedOutput(); err != nil {
			t.Errorf("systemd-sysusers: %v\n%s", err, out)
		}
	}
}
