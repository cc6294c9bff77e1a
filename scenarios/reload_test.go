package scenarios

import (
	"strings"
	"testing"

	"kasgen/scenarios/operation"
)

// TestReloadRoles changes one role of topology A after another, kas last, while
// a command runs through each agent. The agents are as GitLab's: after a change
// of kas they connect to the new one by themselves.
func TestReloadRoles(t *testing.T) {
	t.Parallel()
	dir := rendered(t)
	l, _ := start(t, dir)
	var sessions []*session
	for _, a := range l.Agents {
		s := openExec(t, l, a, "echo one; for n in 1 2 3 4 5 6 7 8 9; do read x || exit 0; echo $x; done")
		s.expect(t, "one")
		sessions = append(sessions, s)
	}
	for _, change := range [][]string{
		{"haproxy/haproxy.cfg", "timeout client 2h", "timeout client 1h"},
		{"edge/edge.yaml", "maxHeaderBytes: 65536", "maxHeaderBytes: 65537"},
		{"kas/kas-config.yaml", "  # The one origin from which", "  # The only origin from which"},
	} {
		edit(t, dir, change[0], change[1:]...)
		if err := l.Reload(t.Context(), dir); err != nil {
			t.Fatalf("%s: %v", change[0], err)
		}
		for _, a := range l.Agents {
			for _, o := range []struct {
				operation string
				transport operation.Transport
			}{{"exec", operation.SPDY}, {"get", operation.Plain}} {
				if err := oneBy(t, l, a, o.operation, o.transport); err != nil {
					t.Errorf("after a change of %s, by the %s agent: %s over %s: %v", change[0], a.Name, o.operation, o.transport, err)
				}
			}
		}
		for _, s := range sessions {
			s.say(t, "after "+strings.ReplaceAll(change[0], "/", " "))
		}
	}
}
