package scenarios

import (
	"bytes"
	"strings"
	"testing"

	"kasgen/internal/cli"
	kasgenruntime "kasgen/runtime"
)

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
