package omnibus

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"kasgen/generator"
	"kasgen/generator/spec"
	"kasgen/internal/diag"
)

// serviceUser runs what kasgen adds to a host.
const serviceUser = "kasgen"

// unreadable looks for certificates of the operator's that the user of the
// services cannot read: root's, as certbot and a package's postinst leave them.
func (p *plan) unreadable(f generator.Facts) diag.Findings {
	var fs diag.Findings
	t := f.Topology
	if f.Spec.TLS.Source != spec.TLSFiles || (t.Edge == nil || t.Edge.TLS == nil) && !t.Readers.HAProxy && !t.Readers.Stream {
		return nil
	}
	for _, c := range []struct{ field, path string }{{"tls.certificateFile", f.Spec.TLS.CertificateFile}, {"tls.keyFile", f.Spec.TLS.KeyFile}} {
		why := p.host.barred(c.path, f.Topology.StateDir)
		if why == "" {
			continue
		}
		fs.Add(diag.Finding{Code: CodeUnreadable, Severity: diag.Warning, Pos: f.At(c.field), Field: c.field, What: "the user " + serviceUser + " cannot read " + c.path + ": " + why,
			Why: "the services that end TLS run as that user, and would not start",
			Fix: fmt.Sprintf("let the group read it (chgrp %s FILE; chmod 640 FILE; chmod g+x its directories), or have who renews it copy it to %s/tls", serviceUser, f.Topology.StateDir)})
	}
	return fs
}

// account is a user as the kernel sees it.
type account struct {
	uid  uint32
	gids []uint32
}

// barred is why the services' user cannot read a file, or "". Of a file that is
// not there nothing is said, nor of what systemd gives to the user: all of the
// state directory, when it makes or takes it over.
func (h host) barred(path, stateDir string) string {
	real, err := filepath.EvalSymlinks(h.at(path))
	if err != nil {
		return ""
	}
	user := h.account(serviceUser)
	if strings.HasPrefix(path, stateDir+"/") {
		info, err := os.Stat(h.at(stateDir))
		if owner, ok := owned(info, err); !ok || owner.Uid != user.uid {
			return ""
		}
	}
	for dir := filepath.Dir(real); len(dir) > len(filepath.Clean(h.root)); dir = filepath.Dir(dir) {
		if !user.may(dir, 1) {
			return dir + " lets nobody else in"
		}
	}
	if !user.may(real, 4) {
		return "its mode and owner are for others"
	}
	return ""
}

// may says whether mode and owner of a file give the user a right, 4 to read and
// 1 to enter. What cannot be looked at is not judged.
func (a account) may(path string, right fs.FileMode) bool {
	info, err := os.Stat(path)
	owner, ok := owned(info, err)
	if !ok {
		return true
	}
	switch {
	case owner.Uid == a.uid:
		return info.Mode().Perm()>>6&right == right
	case slices.Contains(a.gids, owner.Gid):
		return info.Mode().Perm()>>3&right == right
	}
	return info.Mode().Perm()&right == right
}

func owned(info fs.FileInfo, err error) (*syscall.Stat_t, bool) {
	if err != nil {
		return nil, false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return st, ok
}

// account is the host's user of that name; one that is not there yet has nobody's
// rights.
func (h host) account(name string) account {
	const nobody = ^uint32(0)
	a := account{uid: nobody}
	for line := range h.lines("etc/passwd") {
		if f := strings.Split(line, ":"); len(f) > 3 && f[0] == name {
			a.uid = identity(f[2], nobody)
			a.gids = append(a.gids, identity(f[3], nobody))
		}
	}
	for line := range h.lines("etc/group") {
		if f := strings.Split(line, ":"); len(f) > 3 && slices.Contains(strings.Split(f[3], ","), name) {
			a.gids = append(a.gids, identity(f[2], nobody))
		}
	}
	return a
}

func (h host) lines(name string) func(func(string) bool) {
	return func(yield func(string) bool) {
		data, _, err := h.read(name)
		if err != nil {
			return // whoever is in it has no rights then
		}
		for s := bufio.NewScanner(bytes.NewReader(data)); s.Scan(); {
			if !yield(s.Text()) {
				return
			}
		}
	}
}

func identity(text string, otherwise uint32) uint32 {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return otherwise
	}
	return uint32(n)
}
