package omnibus

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"kasgen/internal/cli"
	"kasgen/omnibus/omnibustest"
	"kasgen/runtime"
)

var obtained = regexp.MustCompile(`(?m)^obtained after [\d.]+ s, in 1 order: .*$`)

// TestCertificates has a test CA get its answer through what Omnibus writes and
// kasgen's own files: at the edge, and through GitLab's nginx on port 80.
func TestCertificates(t *testing.T) {
	t.Parallel()
	for _, s := range scenes() {
		if s.name == "A, gRPC only" {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			root := omnibustest.Machine(t, s.text("tls: {source: acme, acme: {email: me@example.com}}\n"), "", s.version)
			var out bytes.Buffer
			streams := cli.IO{In: strings.NewReader(""), Out: &out, Err: &out}
			code := cli.Run(t.Context(), cli.Root(streams, runtime.Commands(streams)...), []string{"certs", "issue", "--dry-run", root})
			if said := obtained.FindString(out.String()); code != cli.Done || said == "" || !strings.Contains(out.String(), "clients of kas.gitlab.example.com get it") {
				t.Errorf("exit code %d\n%s", code, out.String())
			} else {
				t.Log(said)
			}
		})
	}
}
