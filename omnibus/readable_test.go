package omnibus

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestUnreadable: who keeps the services' user out of a certificate hears of it.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	h := host{root: root}
	self := uint32(os.Geteuid()) //nolint:gosec // a user's number
	put(t, h.at("etc/passwd"), "root:x:0:0::/:/bin/sh\nkasgen:x:4242:4343::/:/bin/false\n")
	put(t, h.at("etc/group"), "certs:x:4444:git,kasgen\n")
	if a := h.account("kasgen"); a.uid != 4242 || len(a.gids) != 2 || a.gids[0] != 4343 || a.gids[1] != 4444 {
		t.Errorf("the user is %+v", a)
	}
	put(t, h.at("etc/ssl/live/kas.key"), "")
	put(t, h.at("var/lib/kasgen/tls/kas.key"), "")
	key, dir := h.at("etc/ssl/live/kas.key"), h.at("etc/ssl/live")
	mode := func(path string, m os.FileMode) {
		t.Helper()
		if err := os.Chmod(path, m); err != nil {
			t.Fatal(err)
		}
	}
	say := func() string { return h.barred("/etc/ssl/live/kas.key", "/var/lib/kasgen") }
	if why := say(); why != "" {
		t.Errorf("a file for everybody: %s", why)
	}
	mode(key, 0o640)
	if why := say(); !strings.Contains(why, "mode and owner") {
		t.Errorf("a file of mode 0640: %q", why)
	}
	mode(key, 0o644)
	mode(dir, 0o700)
	if why := say(); why != dir+" lets nobody else in" {
		t.Errorf("a directory of mode 0700: %q", why)
	}
	put(t, h.at("etc/passwd"), "kasgen:x:"+strconv.FormatUint(uint64(self), 10)+":1::/:/bin/false\n")
	if why := say(); why != "" {
		t.Errorf("files of its own: %s", why)
	}
	put(t, h.at("etc/passwd"), "kasgen:x:4242:4343::/:/bin/false\n")
	mode(h.at("var/lib/kasgen/tls/kas.key"), 0o600)
	if why := h.barred("/var/lib/kasgen/tls/kas.key", "/var/lib/kasgen"); why != "" {
		t.Errorf("what systemd gives to it: %s", why)
	}
	if why := h.barred("/etc/ssl/none", "/var/lib/kasgen"); why != "" {
		t.Errorf("what is not there: %s", why)
	}

	// By a command, with the place in the spec.
	bare(t, root)
	put(t, filepath.Join(root, specFile), killedSpec+"tls: {certificateFile: /etc/ssl/live/kas.crt, keyFile: /etc/ssl/live/kas.key}\n")
	put(t, h.at("etc/ssl/live/kas.crt"), "")
	p, err := options{host: h, version: "18.11", binary: "/usr/local/bin/kasgen"}.make()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, f := range p.findings {
		if f.Code == CodeUnreadable {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d findings of it: %v", n, errors.Join(p.findings.Err()))
	}
}
