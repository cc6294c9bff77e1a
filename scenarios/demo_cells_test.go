package scenarios

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kasgen/internal/cli"
	"kasgen/runtime/balancer/balancertest"
)

// TestDemo is the command as a user runs it: 32 cells, each seen at the API
// server over the transport that it asked for, or refused with advice where
// the topology says so.
func TestDemo(t *testing.T) { //nolint:paralleltest // each is a load by itself
	for _, topology := range []string{"A", "B", "D", "packaged"} {
		t.Run(topology, func(t *testing.T) { demoCells(t, topology, "--topology="+topology) })
	}
}

// TestDemoNative is the same with the real nginx and HAProxy before it.
func TestDemoNative(t *testing.T) { //nolint:paralleltest // each is a load by itself
	balancertest.Native(t, "haproxy")
	balancertest.Native(t, "nginx")
	for _, tt := range []struct{ name, topology, kind string }{
		{"A with HAProxy", "A", "haproxy"},
		{"A with nginx", "A", "nginx-stream"},
		{"B", "B", ""},
		{"D", "D", ""},
		{"packaged", "packaged", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := []string{"--front=native", "--topology=" + tt.topology}
			if tt.kind != "" {
				args = append(args, "--load-balancer-kind="+tt.kind)
			}
			demoCells(t, tt.topology, args...)
		})
	}
}

// demoCells runs the demo and holds it to what the topology promises.
func demoCells(t *testing.T, topology string, args ...string) {
	t.Helper()
	spdy := "SPDY/3.1 pass"
	if topology == "D" {
		spdy = "refused"
	}
	var out bytes.Buffer
	errs := new(log)
	streams := cli.IO{Out: &out, Err: errs}
	code := cli.Run(t.Context(), cli.Root(streams, Commands(streams)...), append([]string{"demo", "--once", "--format=json"}, args...))
	if code != cli.Done {
		t.Errorf("exit code %d\n%s", code, errs.String())
	}
	var got result
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	seen := map[string]string{}
	for _, c := range got.Cells {
		seen[c.Operation+" "+c.Agent+" "+c.Transport] = strings.TrimSpace(c.Observed + " " + string(c.Result))
		if c.Result == "refused" {
			// An operation may ask plain questions before it upgrades.
			seen[c.Operation+" "+c.Agent+" "+c.Transport] = string(c.Result)
		}
	}
	want := map[string]string{}
	for _, agent := range []string{"wss", "grpcs"} {
		for _, op := range []string{"exec", "exec tty", "attach", "cp to pod", "cp from pod", "port-forward"} {
			want[fmt.Sprintf("%s %s SPDY", op, agent)] = spdy
			want[fmt.Sprintf("%s %s WebSocket", op, agent)] = "websocket pass"
		}
		for _, op := range []string{"get", "post", "watch", "logs"} {
			want[fmt.Sprintf("%s %s HTTP", op, agent)] = "HTTP pass"
		}
	}
	if diff := cmp.Diff(want, seen); diff != "" || len(got.Cells) != 32 || got.Topology != topology {
		t.Errorf("%s, %d cells (-want +got):\n%s", got.Topology, len(got.Cells), diff)
	}
}
