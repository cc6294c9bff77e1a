package omnibus

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kasgen/internal/cli"
)

// told is a host whose systemctl, systemd-sysusers, gitlab-ctl and kasgen are
// stand-ins that say so and write down what they are told.
type told struct {
	t         *testing.T
	host      host
	log       string
	out, errs bytes.Buffer
}

func newTold(t *testing.T) *told {
	t.Helper()
	root, tools := t.TempDir(), t.TempDir()
	s := &told{t: t, host: host{root: root, systemd: true}, log: filepath.Join(tools, "log")}
	bare(t, root)
	if err := os.MkdirAll(filepath.Join(root, "run/systemd/system"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{"systemctl": tools, "systemd-sysusers": tools, "kasgen": tools, "gitlab-ctl": filepath.Join(root, "opt/gitlab/bin")} {
		path := filepath.Join(dir, name)
		put(t, path, fmt.Sprintf("#!/bin/sh\ntest \"$1\" != show-config || exec cat %s.settings\necho '%s: a stand-in for a test'\necho \"%s $*\" >> %s\ntest ! -e %s.fails\n", path, name, name, s.log, path))
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", tools+":"+os.Getenv("PATH"))
	return s
}

func (s *told) streams() cli.IO {
	return cli.IO{In: strings.NewReader(""), Out: &s.out, Err: &s.errs}
}

func (s *told) options() options {
	return options{host: s.host, version: "18.11", binary: filepath.Join(filepath.Dir(s.log), "kasgen")}
}

// was is what the stand-ins were told since the last call.
func (s *told) was() []string {
	s.t.Helper()
	data, err := os.ReadFile(s.log)
	if os.IsNotExist(err) {
		return nil
	}
	if err == nil {
		err = os.Remove(s.log)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	text := strings.ReplaceAll(string(data), s.host.root, "")
	return strings.Split(strings.TrimSpace(text), "\n")
}

func (s *told) install() {
	s.t.Helper()
	if err := (&installation{options: s.options(), streams: s.streams(), yes: true}).run(s.t.Context()); err != nil {
		s.t.Fatal(err, s.errs.String())
	}
}

func (s *told) hook(hook string) error {
	return (&reconfiguration{options: s.options(), streams: s.streams(), hook: hook}).run(s.t.Context())
}

// chef leaves a node's attributes, as a run that has ended well does. Files have
// the time of a coarse clock, so it is a little later.
func (s *told) chef() { s.chefRan(time.Minute) }

// chefRan is chef at a time from now.
func (s *told) chefRan(at time.Duration) {
	s.t.Helper()
	path := s.host.at(filepath.Join(nodes, "node.json"))
	put(s.t, path, "{}")
	when := time.Now().Add(at)
	if err := os.Chtimes(path, when, when); err != nil {
		s.t.Fatal(err)
	}
}

// TestServices: who is told what, and in which order. What runs is reloaded and
// never restarted, what is gone is stopped before chef gives its port back, and
// the way is probed last. Everything that is told is a stand-in.
func TestServices(t *testing.T) { //nolint:paralleltest // PATH is the process's
	s := newTold(t)
	want := func(when string, lines ...string) {
		t.Helper()
		if d := cmp.Diff(lines, s.was()); d != "" {
			t.Errorf("%s (-want +got):\n%s", when, d)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err, s.errs.String())
		}
	}
	const probe = "kasgen probe --bundle /etc/gitlab/kasgen --timeout 3s --wait 10s"
	s.install()
	want("install")
	must(s.hook("pre"))
	want("before chef")
	must(s.hook("post"))
	want("after chef has failed")
	s.chef()
	must(s.hook("post"))
	want("after chef",
		"gitlab-ctl hup nginx",
		"systemd-sysusers /etc/systemd/system/kasgen.sysusers.conf",
		"systemctl daemon-reload",
		"systemctl try-restart kasgen-front.socket kasgen-front.service",
		"systemctl try-reload-or-restart kasgen-edge.service kasgen-front.service",
		"systemctl enable --now kasgen.target",
		probe)
	must(s.hook("pre"))
	must(s.hook("post"))
	want("nothing has changed")

	put(t, s.host.at(specFile), strings.Replace(killedSpec, "topology: A", "topology: D", 1))
	must(s.hook("pre"))
	want("to D, before chef", "systemctl stop kasgen-edge.service kasgen-front.service kasgen-front.socket")
	s.chef()
	must(s.hook("post"))
	want("to D, after chef",
		"gitlab-ctl hup nginx",
		"systemctl daemon-reload",
		"systemctl try-restart kasgen-reload.path",
		"systemctl enable --now kasgen.target",
		probe)

	// Where nothing of kasgen's runs any more, nothing is wanted at the next boot.
	wanted := s.host.at(filepath.Join(unitsFolder, "multi-user.target.wants", "kasgen.target"))
	put(t, wanted, "a link, on a machine")
	put(t, s.host.at("etc/gitlab/ssl/gitlab.example.com.crt"), "it is only looked for")
	put(t, s.host.at("etc/gitlab/ssl/gitlab.example.com.key"), "it is only looked for")
	put(t, s.host.at(specFile), dSpec("tls: {source: omnibus}\n"))
	must(s.hook("pre"))
	want("to Omnibus's certificate, before chef", "systemctl stop kasgen-reload.path kasgen-reload.service kasgen.target")
	if _, err := os.Lstat(wanted); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is gone is wanted at boot: %v", err)
	}
	s.chef()
	must(s.hook("post"))
	want("to Omnibus's certificate, after chef", "gitlab-ctl hup nginx", "systemctl daemon-reload", probe)
	put(t, s.host.at(specFile), dSpec(""))
	must(s.hook("pre"))
	s.chef()
	must(s.hook("post"))
	s.was()

	put(t, s.host.at(specFile), killedSpec)
	s.chefRan(-time.Hour)
	must((&reconfiguration{options: s.options(), streams: s.streams()}).run(t.Context()))
	want("back to A, by itself: nginx has port 443 until chef has run")
	if !strings.Contains(s.out.String(), "run gitlab-ctl reconfigure, after which programs read the files") {
		t.Error(s.out.String())
	}
	must(s.hook("pre"))
	want("then before chef", "systemctl stop kasgen-reload.path kasgen-reload.service")
	s.chef()
	must(s.hook("post"))
	want("then after chef",
		"gitlab-ctl hup nginx",
		"systemd-sysusers /etc/systemd/system/kasgen.sysusers.conf",
		"systemctl daemon-reload",
		"systemctl try-restart kasgen-front.socket kasgen-front.service",
		"systemctl try-reload-or-restart kasgen-edge.service kasgen-front.service",
		"systemctl enable --now kasgen.target",
		probe)
	must((&removal{options: s.options(), streams: s.streams()}).run(t.Context()))
	want("uninstall", "systemctl disable --now kasgen.target", "systemctl daemon-reload")
}

// TestReloadThatFails: by itself, without chef, a run whose reload fails leaves
// the files that were there, and the programs with them; --check says that they
// are not what they ought to be, and what keeps the others from an effect.
func TestReloadThatFails(t *testing.T) { //nolint:paralleltest // PATH is the process's
	s := newTold(t)
	alone := func(check bool) (int, string) {
		t.Helper()
		s.out.Reset()
		err := (&reconfiguration{options: s.options(), streams: s.streams(), check: check}).run(t.Context())
		return cli.Code(err), s.out.String() + fmt.Sprint(err)
	}
	put(t, s.host.at(specFile), dSpec(""))
	s.install()
	s.chef()
	if code, out := alone(true); code != cli.Differences || !strings.Contains(out, "not in effect yet: ") {
		t.Errorf("installed, and nothing has read it: %d, %s", code, out)
	}
	if code, out := alone(false); code != cli.Done {
		t.Fatal(code, out)
	}
	if code, out := alone(true); code != cli.Done || !strings.Contains(out, "nothing is to be changed") {
		t.Errorf("all in effect: %d, %s", code, out)
	}
	before := files(t, s.host.root)
	s.was()
	for _, fails := range []string{filepath.Join(s.host.at(gitlabCtl) + ".fails"), filepath.Join(filepath.Dir(s.log), "systemctl.fails")} {
		put(t, fails, "")
		put(t, s.host.at(specFile), dSpec("timeouts: {idle: 3h}\ntls: {certificateFile: /var/lib/kasgen/tls/other.crt}\n"))
		put(t, s.host.at("var/lib/kasgen/tls/other.crt"), "it is only looked for")
		if code, out := alone(false); code != cli.Failure || !strings.Contains(out, "the files that were there before are back") {
			t.Errorf("%s: %d, %s", filepath.Base(fails), code, out)
		}
		if told := s.was(); strings.Count(strings.Join(told, "\n"), "gitlab-ctl hup nginx") != 2 {
			t.Errorf("programs have to read what is back: %q", told)
		}
		if code, out := alone(true); code != cli.Differences {
			t.Errorf("what failed is not in place: %d, %s", code, out)
		}
		for _, path := range []string{fails, s.host.at("var/lib/kasgen/tls/other.crt")} {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}
		put(t, s.host.at(specFile), dSpec(""))
		if d := cmp.Diff(before, files(t, s.host.root)); d != "" {
			t.Errorf("%s: %s", filepath.Base(fails), d)
		}
	}
	// What a run has started that is taken back ends with it.
	put(t, filepath.Join(filepath.Dir(s.log), "systemctl.fails"), "")
	put(t, s.host.at(specFile), dSpec("tls: {source: acme}\n"))
	if code, out := alone(false); code != cli.Failure {
		t.Errorf("certificates: %d, %s", code, out)
	}
	want := []string{"gitlab-ctl hup nginx", "systemd-sysusers /etc/systemd/system/kasgen.sysusers.conf", "systemctl daemon-reload", // which fails, and is the last
		"systemctl stop kasgen-certs.service", "gitlab-ctl hup nginx", "systemctl daemon-reload"}
	if d := cmp.Diff(want, s.was()); d != "" {
		t.Error(d)
	}
	if err := os.Remove(filepath.Join(filepath.Dir(s.log), "systemctl.fails")); err != nil {
		t.Fatal(err)
	}
	put(t, s.host.at(specFile), dSpec(""))
	text, _, err := s.host.read(gitlabFile)
	if err != nil {
		t.Fatal(err)
	}
	put(t, s.host.at(gitlabFile), string(withoutLine(text)))
	if code, out := alone(true); code != cli.Differences || !strings.Contains(out, "gitlab.rb does not read /etc/gitlab/kasgen/kasgen.rb") {
		t.Errorf("without the line: %d, %s", code, out)
	}
	if alone(false); !strings.Contains(s.errs.String(), "warning: gitlab.rb does not read kasgen's keys") {
		t.Errorf("without the line: %s", s.errs.String())
	}
}

// TestCertificateOfNginx: GitLab's nginx reads a certificate again when it has
// changed, and is asked to before anybody can have obtained one.
func TestCertificateOfNginx(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ spec, before string }{
		"obtained":               {dSpec("tls: {source: acme, acme: {email: me@example.com}}\n"), "kasgen-certs.service"},
		"put there":              {dSpec(""), ""},
		"of Omnibus's own vhost": {strings.Replace(killedSpec, "topology: A", "topology: packaged", 1), ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := host{root: t.TempDir()}
			bare(t, h.root)
			put(t, h.at(specFile), c.spec)
			if err := install(h); err != nil {
				t.Fatal(err)
			}
			path, service := readUnit(t, h, reloadPath), readUnit(t, h, "kasgen-reload.service")
			if !strings.Contains(path, "\nPathChanged=/var/lib/kasgen/tls/kas.crt\n") || c.before != "" && !strings.Contains(path, "\nBefore="+c.before+"\n") {
				t.Errorf("what is watched: %s", path)
			}
			if !strings.Contains(service, "\nExecStart=/opt/gitlab/bin/gitlab-ctl hup nginx\n") {
				t.Errorf("what is done: %s", service)
			}
			if target := readUnit(t, h, "kasgen.target"); !strings.Contains(target, "\nWants="+reloadPath+"\n") {
				t.Errorf("the target: %s", target)
			}
			if err := (&removal{options: options{host: h}, streams: quiet()}).run(t.Context()); err != nil {
				t.Fatal(err)
			}
			if left, err := filepath.Glob(h.at(filepath.Join(unitsFolder, "kasgen*"))); err != nil || len(left) > 0 {
				t.Errorf("after uninstall: %v, %v", left, err)
			}
		})
	}
	// Omnibus tells nginx of its own certificates, and in A it reads none.
	for name, spec := range map[string]string{"A": killedSpec, "Omnibus's": dSpec("tls: {source: omnibus}\n")} {
		h := host{root: t.TempDir()}
		bare(t, h.root)
		put(t, h.at(specFile), spec)
		if err := install(h); err != nil {
			t.Fatal(name, err)
		}
		if h.has(filepath.Join(unitsFolder, reloadPath)) {
			t.Errorf("%s: nginx is told of certificates", name)
		}
	}
}

func readUnit(t *testing.T, h host, name string) string {
	t.Helper()
	data, there, err := h.read(filepath.Join(unitsFolder, name))
	if err != nil || !there {
		t.Fatalf("%s: %v, there: %v", name, err, there)
	}
	return string(data)
}

// TestOnlyChefCounts: attributes that were written before chef's run, by
// show-config for one, do not make a run that fails afterwards one that has not.
func TestOnlyChefCounts(t *testing.T) { //nolint:paralleltest // PATH is the process's
	s := newTold(t)
	s.install()
	before := time.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(s.host.at(pendingFile), before, before); err != nil {
		t.Fatal(err)
	}
	s.chefRan(-time.Hour)
	if err := errors.Join(s.hook("pre"), s.hook("post")); err != nil {
		t.Fatal(err)
	}
	if told := s.was(); len(told) > 0 || !strings.Contains(s.errs.String(), "nothing was reloaded") {
		t.Errorf("chef has not run, and this was done: %q\n%s", told, s.errs.String())
	}
}

// TestUninstallThatFails: services end only where everything else can.
func TestUninstallThatFails(t *testing.T) { //nolint:paralleltest // PATH is the process's
	s := newTold(t)
	s.install()
	s.was()
	// A link is nothing that is replaced.
	if err := errors.Join(os.Rename(s.host.at(gitlabFile), s.host.at("elsewhere.rb")), os.Symlink(s.host.at("elsewhere.rb"), s.host.at(gitlabFile))); err != nil {
		t.Fatal(err)
	}
	if err := (&removal{options: s.options(), streams: s.streams()}).run(t.Context()); err == nil || !strings.Contains(err.Error(), "it is L") {
		t.Errorf("it ends with %v", err)
	}
	if told := s.was(); len(told) > 0 {
		t.Errorf("nothing is uninstalled, and this was done: %q", told)
	}
}

// TestServicesFail: what could not be told is told the next time.
func TestServicesFail(t *testing.T) { //nolint:paralleltest // PATH is the process's
	s := newTold(t)
	s.install()
	s.chef()
	fails := filepath.Join(filepath.Dir(s.log), "systemctl.fails")
	put(t, fails, "")
	if err := s.hook("post"); err == nil || !strings.Contains(err.Error(), "systemctl: a stand-in for a test") {
		t.Errorf("it failed with %v", err)
	}
	first := s.was()
	if err := os.Remove(fails); err != nil {
		t.Fatal(err)
	}
	if err := s.hook("post"); err != nil {
		t.Error(err)
	}
	again := s.was()
	if len(again) == 0 || again[len(again)-1] == first[len(first)-1] || !strings.HasPrefix(again[len(again)-1], "kasgen probe") {
		t.Errorf("first %q, then %q", first, again)
	}
	// A way that carries nothing is said, and nobody's fault.
	put(t, filepath.Join(filepath.Dir(s.log), "kasgen.fails"), "")
	put(t, s.host.at(specFile), killedSpec+"agents: {websocket: remove}\n")
	if err := s.hook("pre"); err != nil {
		t.Fatal(err)
	}
	s.chef()
	if err := s.hook("post"); err != nil || !strings.Contains(s.errs.String(), "the way to kas does not pass everything") {
		t.Errorf("%v: %s", err, s.errs.String())
	}
}
