// Package judge finds the real programs that tests hold kasgen to: nginx,
// HAProxy, Ruby, systemd, groff and shells. It knows nothing of what they
// judge. Its law: a judge that is missing is named with its Debian package, and
// in CI that is a failure and no skip.
package judge

import (
	"cmp"
	"os"
	"os/exec"
	"testing"
)

// debian are packages that are not named as their program is.
var debian = map[string]string{
	"groff":            "groff-base",
	"systemd-analyze":  "systemd",
	"systemd-sysusers": "systemd",
	"ctr":              "containerd",
	"busybox":          "busybox-static",
}

// Find is the path of a program. Where it is missing the test is skipped, in
// CI ($CI is true) it fails.
func Find(t testing.TB, program string) string {
	t.Helper()
	// Servers are in /usr/sbin, which is in root's PATH alone.
	for _, candidate := range []string{program, "/usr/sbin/" + program} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	from := cmp.Or(debian[program], program)
	why := program + " is not installed: install Debian's " + from
	if os.Getenv("CI") == "true" {
		t.Fatal(why, "(in CI every judge must be there)")
	} else {
		t.Skip("skipping:", why)
	}
	return ""
}
