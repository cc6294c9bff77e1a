package chart

import (
	"bytes"
	"strings"
	"testing"

	"kasgen/chart/charttest"
	"kasgen/internal/cli"
)

// TestValues is the command as a CI job calls it.
func TestValues(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args      []string
		code      int
		out, errs string
	}{
		{[]string{"--topology=packaged", "--chart-version=9.9.1"}, cli.Done, "proxy-body-size: \"0\"", ""},
		{[]string{"--topology=B", "--chart-version=9.9"}, cli.Done, "externalUrl: wss://kas.gitlab.example.com\n", "KAS6006"},
		{[]string{"--topology=A", "--chart-version=9.2"}, cli.Misuse, "", "9.1, 9.9, 10.4"},
		{[]string{"--topology=A"}, cli.Misuse, "", "--chart-version"},
		{[]string{"--topology=packaged", "--chart=" + charttest.Dir(t, "9.5")}, cli.Done, "chart 9.5", ""},
		{[]string{"--topology=A", "--chart=" + charttest.Dir(t, "9.5"), "--chart-version=9.5"}, cli.Misuse, "", "--chart-version"},
		{[]string{"--topology=packaged", "--chart-version=9.1", "--routes=gateway"}, cli.Failure, "", "KAS6009"},
		{[]string{"--topology=A", "--chart=nowhere"}, cli.Failure, "", "nowhere"},
		{[]string{"--topology=A", "--chart=/"}, cli.Failure, "", "/ is no chart"},
		{[]string{"--topology=packaged", "--chart-version=9.1", "--agents-websocket=remove"}, cli.Failure, "", "KAS6001"},
		{[]string{"--topology=A", "--chart-version=9.9", "--kas-kind=embedded"}, cli.Failure, "", "KAS6003"},
	} {
		var out, errs bytes.Buffer
		streams := cli.IO{In: strings.NewReader(""), Out: &out, Err: &errs}
		code := cli.Run(t.Context(), cli.Root(streams, Commands(streams)...), append([]string{"chart", "values"}, tt.args...))
		if code != tt.code || !strings.Contains(out.String(), tt.out) || !strings.Contains(errs.String(), tt.errs) || tt.code != cli.Done && out.Len() > 0 {
			t.Errorf("%v: exit code %d\n%s\n%s", tt.args, code, out.String(), errs.String())
		}
	}
}
