package chart

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kasgen/chart/charttest"
	"kasgen/internal/cli"
)

// base is what the contract chart, as GitLab's, asks of every install.
const base = "certmanager-issuer: {email: a@example.com}\n"

// write puts text into a file of the test's.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// run is a command of the room.
func run(t *testing.T, in string, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	streams := cli.IO{In: strings.NewReader(in), Out: &o, Err: &e}
	code = cli.Run(t.Context(), cli.Root(streams, Commands(streams)...), append([]string{"chart"}, args...))
	return code, o.String(), e.String()
}

func TestTopologies(t *testing.T) {
	t.Parallel()
	for _, v := range charttest.Versions() {
		for _, topology := range []string{"packaged", "A", "B", "D"} {
			for _, agents := range []string{"keep", "remove"} {
				t.Run(v+"-"+topology+"-"+agents, func(t *testing.T) {
					t.Parallel()
					code, out, errs := run(t, "", "verify", "--topology="+topology, "--agents-websocket="+agents,
						"--chart", charttest.Dir(t, v), "-f", write(t, "values.yaml", base))
					if v == "9.1" && topology == "packaged" && agents == "remove" {
						if code != cli.Failure || !strings.Contains(errs, "KAS6001") {
							t.Errorf("%d\n%s", code, errs)
						}
						return
					}
					if code != cli.Done {
						t.Errorf("%d\n%s\n%s", code, out, errs)
					}
					t.Log(out, errs)
				})
			}
		}
	}
}

// TestOthersBefore: what people have switched on already is nothing that kasgen's
// values change.
func TestOthersBefore(t *testing.T) {
	t.Parallel()
	for values, want := range map[string]int{
		"global: {gatewayApi: {enabled: true}}\n": cli.Done,
		"{}\n": cli.Failure,
	} {
		code, out, errs := run(t, "", "verify", "--topology=D", "--extras", "--routes=gateway", "--chart", charttest.Dir(t, "9.9"),
			"-f", write(t, "base.yaml", base), "-f", write(t, "values.yaml", values))
		if code != want || strings.Contains(errs, "KAS6124") != (want == cli.Failure) {
			t.Errorf("%sexit code %d\n%s\n%s", values, code, out, errs)
		}
	}
}
