package scenarios

import (
	"bytes"
	"strings"
	"testing"

	"kasgen/internal/cli"
	"kasgen/runtime/balancer/balancertest"

	kasgenruntime "kasgen/runtime"
)

// TestDemoNative has the real HAProxy run topology B's front: mode tcp and mode
// http.
func TestDemoNative(t *testing.T) { // not parallel: it is a load by itself
	balancertest.Native(t, "haproxy")
	balancertest.Native(t, "nginx") // port 80
	var out bytes.Buffer
	errs := new(log)
	streams := cli.IO{Out: &out, Err: errs}
	code := cli.Run(t.Context(), cli.Root(streams, Commands(streams)...), []string{"demo", "--topology=B", "--front=native", "--once"})
	if code != cli.Done || !strings.Contains(out.String(), "32 cells: 32 pass, 0 fail, 0 refused, 0 skip") {
		t.Errorf("exit code %d\n%s%s", code, errs.String(), out.String())
	}
}

// TestNativeRefuses: the real programs do what the files say, so nothing can be
// moved.
func TestNativeRefuses(t *testing.T) {
	t.Parallel()
	dir := rendered(t)
	for _, tt := range []struct{ flag, want string }{
		{"--remap=443=8443", "--remap goes with --front embedded alone"},
		{"--state=elsewhere", "--state goes with --front embedded alone"},
		{"--front=else", "it is embedded or native"},
	} {
		var out, errs bytes.Buffer
		streams := cli.IO{Out: &out, Err: &errs}
		code := cli.Run(t.Context(), cli.Root(streams, kasgenruntime.Commands(streams)...), []string{"run", dir, "--front=native", tt.flag})
		if code != cli.Misuse || !strings.Contains(errs.String(), tt.want) {
			t.Errorf("%s: exit code %d\n%s", tt.flag, code, errs.String())
		}
	}
}
