package omnibus

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kasgen/internal/cli"
	"kasgen/omnibus/ledger"
	"kasgen/runtime/certs"
)

// dSpec has GitLab's nginx read kas's certificate.
func dSpec(source string) string {
	return strings.Replace(killedSpec, "topology: A", "topology: D", 1) + source
}

// TestNginxFindsItsCertificates: what GitLab's nginx would not start without
// stops the run, and a placeholder is there where it is obtained only later.
func TestNginxFindsItsCertificates(t *testing.T) { //nolint:paralleltest // PATH is the process's
	s := newTold(t)
	s.install()
	crt, key := s.host.at("var/lib/kasgen/tls/kas.crt"), s.host.at("var/lib/kasgen/tls/kas.key")
	if err := errors.Join(os.Remove(crt), os.Remove(key)); err != nil {
		t.Fatal(err)
	}
	put(t, s.host.at(specFile), dSpec(""))
	if err := s.hook("pre"); cli.Code(err) != Refused || !strings.Contains(s.errs.String(), "error: KAS5110: /var/lib/kasgen/tls/kas.crt is not there") {
		t.Errorf("without a certificate: %v\n%s", err, s.errs.String())
	}
	put(t, s.host.at(specFile), dSpec("tls: {source: acme}\n"))
	for range 2 {
		if err := s.hook("pre"); err != nil {
			t.Fatal(err, s.errs.String())
		}
	}
	cert, errCert := os.ReadFile(crt)
	text, errKey := os.ReadFile(key)
	if err := errors.Join(errCert, errKey); err != nil {
		t.Fatal(err)
	}
	pair, err := certs.Parse(cert, text)
	if err != nil || !certs.IsPlaceholder(pair.Leaf) {
		t.Errorf("no placeholder lies there: %v", err)
	}
	if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's mode: %v, %v", info, err)
	}
	put(t, crt, "what has been obtained")
	if err := s.hook("pre"); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(crt); err != nil || string(data) != "what has been obtained" {
		t.Errorf("a placeholder has taken the place of %q, %v", data, err)
	}
}

// TestPlaceholderGoes: a placeholder goes with the run that was stopped, and
// with everything else when kasgen is uninstalled.
func TestPlaceholderGoes(t *testing.T) { //nolint:paralleltest // PATH is the process's
	s := newTold(t)
	if err := os.RemoveAll(s.host.at("var/lib/kasgen")); err != nil {
		t.Fatal(err)
	}
	s.install()
	put(t, s.host.at(specFile), dSpec("tls: {source: acme}\n"))
	put(t, s.host.at("var/opt/gitlab/nginx/conf/nginx.conf"), "include /etc/gitlab/kasgen/vhosts/*.conf;\n")
	nginx := s.host.at(nginxBinary)
	refuses := func(file string) {
		t.Helper()
		put(t, nginx, fmt.Sprintf("#!/bin/sh\n# a stand-in for a test\ntest ! -e %s || { echo no; exit 1; }\n", file))
		if err := os.Chmod(nginx, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	refuses(s.host.at("var/lib/kasgen/tls/kas.crt"))
	if err := s.hook("pre"); cli.Code(err) != Refused {
		t.Fatalf("%v: %s", err, s.errs.String())
	}
	if s.host.has("var/lib/kasgen") {
		t.Error("a run that was stopped has left its placeholder")
	}
	refuses("/nonexistent")
	if err := s.hook("pre"); err != nil || !s.host.has("var/lib/kasgen/tls/kas.crt") {
		t.Fatalf("%v: %s", err, s.errs.String())
	}
	if info, err := os.Stat(s.host.at("var/lib/kasgen/tls")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder of a key: %v, %v", info, err)
	}
	vhost := s.host.at("var/opt/gitlab/nginx/conf/service_conf/gitlab-kas.conf")
	for _, text := range []string{"ssl_certificate /var/lib/kasgen/tls/kas.crt;", "ssl_certificate /etc/gitlab/ssl/x.crt;"} {
		put(t, vhost, text)
		s.install()
		if err := s.hook("pre"); err != nil {
			t.Fatal(err)
		}
		if err := (&removal{options: s.options(), streams: s.streams()}).run(t.Context()); err != nil {
			t.Fatal(err)
		}
		if named := strings.Contains(text, "kasgen"); s.host.has("var/lib/kasgen") != named {
			t.Errorf("with a vhost that says %q it is left after uninstall: %v", text, !named)
		}
	}
}

// TestNginxIsAskedOnce: what install has placed is asked about by the first
// hook, which changes nothing, in a directory of its own: nginx gives those of a
// prefix to its user.
func TestNginxIsAskedOnce(t *testing.T) { //nolint:paralleltest // PATH is the process's
	s := newTold(t)
	put(t, s.host.at(specFile), dSpec(""))
	put(t, s.host.at("var/opt/gitlab/nginx/conf/nginx.conf"), "")
	s.install()
	nginx, asked := s.host.at(nginxBinary), s.log+".asked"
	put(t, nginx, "#!/bin/sh\n# a stand-in for a test\necho \"$*\" >> "+asked+"\ntest \"$4\" = -c || exit 0\ngrep -q 'include .*vhosts' $5 || exit 0\necho 'nginx: [warn] x' >&2\necho 'nginx: [emerg] cannot load certificate \"/var/lib/kasgen/tls/kas.crt\"' >&2\nexit 1\n")
	if err := os.Chmod(nginx, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := s.hook("pre"); cli.Code(err) != Refused || !strings.Contains(s.errs.String(), "KAS5109") {
		t.Errorf("%v, %s", err, s.errs.String())
	}
	text, err := os.ReadFile(asked)
	if err != nil {
		t.Fatal(err)
	}
	alone := 0
	for line := range strings.Lines(string(text)) {
		if !strings.Contains(line, " -c ") {
			continue
		}
		alone++
		if strings.Contains(line, s.host.at(nginxPrefix)) {
			t.Errorf("it is asked in Omnibus's directories: %s", line)
		}
	}
	if alone != 1 {
		t.Errorf("asked about ours alone %d times:\n%s", alone, text)
	}
}

// TestOldSettings: settings of the last run are no proof of the next. Omnibus is
// asked what they are now, and where it does not say, they warn.
func TestOldSettings(t *testing.T) { //nolint:paralleltest // PATH is the process's
	s := newTold(t)
	s.install()
	s.chef()
	const half = `{"gitlab_kas": {"certificate_file": "/x.crt"}}`
	put(t, s.host.at(filepath.Join(nodes, "node.json")), half)
	later := time.Now().Add(time.Minute)
	if err := os.Chtimes(s.host.at(filepath.Join(nodes, "node.json")), later, later); err != nil {
		t.Fatal(err)
	}
	show := s.host.at(gitlabCtl) + ".settings"
	for _, tt := range []struct {
		name, now string
		code      int
		says      string
	}{
		{"corrected", `{"gitlab_kas": {}}`, cli.Done, ""},
		{"as before", half, Refused, "error: KAS5102"},
		{"nobody says", "no JSON", cli.Done, "warning: KAS5102"},
	} {
		put(t, show, tt.now)
		s.errs.Reset()
		if err := s.hook("pre"); cli.Code(err) != tt.code || !strings.Contains(s.errs.String(), tt.says) || tt.says == "" && strings.Contains(s.errs.String(), "KAS5102") {
			t.Errorf("%s: %v, want exit code %d and %q\n%s", tt.name, err, tt.code, tt.says, s.errs.String())
		}
	}
	// gitlab.rb is newer, so that it is asked at once: not again because of what
	// the last run says.
	soon := later.Add(time.Minute)
	if err := os.Chtimes(s.host.at(gitlabFile), soon, soon); err != nil {
		t.Fatal(err)
	}
	s.errs.Reset()
	if err := s.hook("pre"); err != nil || strings.Count(s.errs.String(), "does not say what Omnibus's settings are now") != 1 || !strings.Contains(s.errs.String(), "warning: KAS5102") {
		t.Errorf("asked once: %v\n%s", err, s.errs.String())
	}
}

// TestHookRecovers: a run that was killed is put back before chef reads files.
func TestHookRecovers(t *testing.T) { //nolint:paralleltest // PATH is the process's
	s := newTold(t)
	s.install()
	before := files(t, s.host.root)
	path := s.host.at(gitlabFile)
	l := s.host.ledger()
	change := []ledger.Change{{Path: path, Data: []byte("half")}}
	if err := errors.Join(l.Begin("1", change), l.Apply(change)); err != nil {
		t.Fatal(err)
	}
	if err := s.hook("recover"); err != nil || !strings.Contains(s.errs.String(), "was put back") {
		t.Errorf("%v: %s", err, s.errs.String())
	}
	if d := cmp.Diff(before, files(t, s.host.root)); d != "" {
		t.Error(d)
	}
}

// TestNginxJudges: a refusal that names nothing of ours counts where nginx took
// its files before, and is somebody else's where it did not. Before chef's first
// run, when nginx.conf does not read ours, what is said of ours alone counts.
func TestNginxJudges(t *testing.T) { //nolint:paralleltest // PATH is the process's
	const include, certificate = "include /etc/gitlab/kasgen/vhosts/*.conf;\n", "cannot load certificate"
	for name, tt := range map[string]struct {
		conf   string
		always bool
		says   string
		code   int
	}{
		"broken by ours":              {include, false, certificate, Refused},
		"broken before":               {include, true, certificate, cli.Done},
		"a first run":                 {"", true, "unknown directive in ROOT/etc/gitlab/kasgen/vhosts/kas.conf:1", Refused},
		"a first run's certificate":   {"", true, certificate + ` "/var/lib/kasgen/tls/kas.crt"`, Refused},
		"a first run, something else": {"", true, "open() \"/var/log/x\" failed", cli.Done},
	} {
		t.Run(name, func(t *testing.T) { //nolint:paralleltest // PATH is the process's
			s := newTold(t)
			s.install()
			put(t, s.host.at("var/opt/gitlab/nginx/conf/nginx.conf"), tt.conf)
			nginx := s.host.at(nginxBinary)
			put(t, nginx, fmt.Sprintf("#!/bin/sh\n# a stand-in for a test\n%t || grep -q ssl_certificate %s/vhosts/*.conf || exit 0\necho 'nginx: [emerg] %s' >&2\nexit 1\n", tt.always, s.host.bundle(), strings.ReplaceAll(tt.says, "ROOT", s.host.root)))
			if err := os.Chmod(nginx, 0o755); err != nil {
				t.Fatal(err)
			}
			put(t, s.host.at(specFile), dSpec(""))
			if err := s.hook("pre"); cli.Code(err) != tt.code || strings.Contains(s.errs.String(), "KAS5109") != (tt.code == Refused) {
				t.Errorf("%v, want exit code %d\n%s", err, tt.code, s.errs.String())
			}
		})
	}
}

// TestWithoutSystemd: in a container every run ends well, says what has to run
// beside GitLab, and says it once.
func TestWithoutSystemd(t *testing.T) { //nolint:paralleltest // PATH is the process's
	s := newTold(t)
	if err := os.Remove(s.host.at("run/systemd/system")); err != nil {
		t.Fatal(err)
	}
	s.install()
	s.chef()
	run := func() string {
		t.Helper()
		s.out.Reset()
		if err := (&reconfiguration{options: s.options(), streams: s.streams()}).run(t.Context()); err != nil {
			t.Fatal(err, s.errs.String())
		}
		return s.out.String()
	}
	if out := run(); !strings.Contains(out, "there is no systemd here") {
		t.Error(out)
	}
	if out := run(); strings.Contains(out, "systemd") || !strings.Contains(out, "nothing is to be changed") {
		t.Errorf("a second time: %s", out)
	}
	// D is all in GitLab's nginx, which somebody has to tell of a new certificate.
	put(t, s.host.at(specFile), dSpec(""))
	if out := run(); !strings.Contains(out, "run `gitlab-ctl hup nginx` when the certificate has changed") || strings.Contains(out, "role of each service") {
		t.Errorf("to D: %s", out)
	}
	put(t, s.host.at(specFile), dSpec("timeouts: {idle: 3h}\n"))
	if out := run(); strings.Contains(out, "systemd") || !strings.Contains(out, "nginx was reloaded") {
		t.Errorf("of D: %s", out)
	}
	if d := cmp.Diff([]string{"gitlab-ctl hup nginx", "gitlab-ctl hup nginx", "gitlab-ctl hup nginx"}, s.was()); d != "" {
		t.Error(d)
	}
}

// TestReaders: who reads what has changed, and whose address is another.
func TestReaders(t *testing.T) {
	t.Parallel()
	unit := func(name string) string { return filepath.Join(unitsFolder, name) }
	h := host{root: t.TempDir()}
	for _, name := range []string{"kasgen-front.service", "kasgen-front.socket", "kasgen-certs.service", "kasgen-reload.service", "kasgen-edge.service"} {
		put(t, h.at(unit(name)), "it is only looked for")
	}
	for name, tt := range map[string]struct{ list, readers, sockets []string }{
		"a file of the front":     {[]string{"haproxy/haproxy.cfg", "kasgen.lock.yaml"}, []string{"kasgen-front.service"}, nil},
		"the edge and its unit":   {[]string{"edge/edge.yaml", unit("kasgen-edge.service")}, []string{"kasgen-edge.service"}, nil},
		"certificates":            {[]string{"certs/certs.yaml", "vhosts/kas.conf"}, []string{"kasgen-certs.service"}, nil},
		"an address of the front": {[]string{"haproxy/haproxy.cfg", unit("kasgen-front.socket"), unit("kasgen.target")}, []string{"kasgen-front.service"}, []string{"kasgen-front.socket", "kasgen-front.service"}},
		"what is gone":            {[]string{unit("kasgen.service"), unit("kasgen-edge.socket")}, nil, nil},
		"what nginx is told by":   {[]string{unit("kasgen-reload.service"), unit(reloadPath)}, nil, nil},
		"nothing that is read":    {[]string{RubyPath, "kasgen.lock.yaml", "vhosts/kas.conf"}, nil, nil},
	} {
		if d := cmp.Diff(tt.readers, h.readers(tt.list)); d != "" {
			t.Errorf("%s, readers: %s", name, d)
		}
		if d := cmp.Diff(tt.sockets, h.sockets(tt.list)); d != "" {
			t.Errorf("%s, sockets: %s", name, d)
		}
	}
}

// TestSettingsOfNow: what Omnibus would refuse is seen in gitlab.rb as it is, not
// in what the last run had, and a gitlab.rb that cannot be asked stops nothing.
func TestSettingsOfNow(t *testing.T) { //nolint:paralleltest // PATH is the process's
	s := newTold(t)
	s.install()
	s.chef()
	put(t, s.host.at(gitlabCtl+".settings"), "")
	rewrite := func(settings string) {
		t.Helper()
		put(t, s.host.at(gitlabCtl+".settings"), settings)
		later := time.Now().Add(time.Hour) // than chef
		if err := os.Chtimes(s.host.at(gitlabFile), later, later); err != nil {
			t.Fatal(err)
		}
		s.errs.Reset()
	}
	const secret = "c2hvcnQ="
	rewrite(`{"gitlab_kas": {"certificate_file": "/c", "sentry_dsn": "` + secret + `"}}`)
	if err := s.hook("pre"); cli.Code(err) != Refused || !strings.Contains(s.errs.String(), "KAS5102") || strings.Contains(s.errs.String(), secret) {
		t.Errorf("a certificate without its key: %v\n%s", err, s.errs.String())
	}
	rewrite("this is not JSON: " + secret)
	if err := s.hook("pre"); err != nil || !strings.Contains(s.errs.String(), "the settings of the last run count") || strings.Contains(s.errs.String(), secret) {
		t.Errorf("settings that cannot be read: %v\n%s", err, s.errs.String())
	}
	rewrite(`{"gitlab_kas": {}}`)
	if err := s.hook("pre"); err != nil || strings.Contains(s.errs.String(), "last run") {
		t.Errorf("settings that are right: %v\n%s", err, s.errs.String())
	}
}
