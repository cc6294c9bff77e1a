package scenarios

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kasgen/internal/cli"
	"kasgen/internal/cli/clitest"
	"kasgen/internal/judge"
)

// TestDemo is the command as a user runs it, the program itself: 32 cells, each
// seen at the API server over the transport that it asked for, or refused with
// advice where the topology says so. Once with the embedded nginx and HAProxy in
// front, once with the real ones, and once with certificates of Pebble's, whose
// CA is the only one that the clients trust.
func TestDemo(t *testing.T) {
	t.Parallel()
	kasgen := clitest.Build(t)
	for _, tt := range []struct {
		name, topology string
		args           []string
	}{
		{"A", "A", nil},
		{"B", "B", nil},
		{"D", "D", nil},
		{"packaged", "packaged", nil},
		{"native A with HAProxy", "A", []string{"--front=native", "--load-balancer-kind=haproxy"}},
		{"native A with nginx", "A", []string{"--front=native", "--load-balancer-kind=nginx-stream"}},
		{"native B", "B", []string{"--front=native"}},
		{"native D", "D", []string{"--front=native"}},
		{"native packaged", "packaged", []string{"--front=native"}},
		{"ACME A", "A", []string{"--tls=acme"}},
		{"ACME B", "B", []string{"--tls=acme"}},
		{"ACME D", "D", []string{"--tls=acme"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if strings.HasPrefix(tt.name, "native") {
				judge.Find(t, "haproxy")
				judge.Find(t, "nginx")
			}
			errs := demoCells(t, kasgen, tt.topology, tt.args...)
			issued := regexp.MustCompile(`front's certificate for kas\.example\.com.* is of Pebble Intermediate CA`).MatchString(errs)
			if acme := strings.HasPrefix(tt.name, "ACME"); issued != acme {
				t.Errorf("of Pebble's certificate there is a word: %t, want %t\n%s", issued, acme, errs)
			}
		})
	}
}

// demoCells runs the demo, holds it to what the topology promises, and returns
// what it said.
func demoCells(t *testing.T, kasgen clitest.Program, topology string, args ...string) string {
	t.Helper()
	spdy := "SPDY/3.1 pass"
	if topology == "D" {
		spdy = "refused"
	}
	out, errs, code := kasgen.Run(t, append([]string{"demo", "--once", "--format=json", "--topology=" + topology}, args...)...)
	if code != cli.Done {
		t.Errorf("exit code %d\n%s", code, errs)
	}
	var got result
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatalf("%v\n%s", err, out)
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
	return errs
}
