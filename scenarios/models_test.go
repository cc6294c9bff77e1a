package scenarios

import (
	"strings"
	"testing"
	"time"

	"kasgen/scenarios/lab"
	"kasgen/scenarios/lab/cloud"
)

// TestTCPModelsIdle has a command run behind each model of a TCP balancer, with
// a shorter limit than the real one's: it lives while it talks, and ends in
// silence.
func TestTCPModelsIdle(t *testing.T) {
	t.Parallel()
	const limit = 2 * time.Second
	for _, m := range cloud.Models() {
		if m.Kind != cloud.TCP && m.Kind != cloud.TLS {
			continue
		}
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			m.Limits = []cloud.Limit{{Idle: limit}}
			settings := "loadBalancer: {kind: external-tcp}\n"
			if m.Kind == cloud.TLS && !m.Reencrypt {
				settings = "loadBalancer: {kind: external-tcp, tls: terminate, alpn: none}\n"
			}
			l := startWith(t, lab.Options{Bundle: renderedAs(t, "A", settings), Model: &m})
			s := openExec(t, l, l.Agents[0], "for n in 1 2 3 4 5 6 7 8 9 10; do echo $n; sleep 0.5; done; sleep 60")
			for _, n := range strings.Fields("1 2 3 4 5 6 7 8 9 10") {
				s.expect(t, n)
			}
			if err := <-s.ended; err == nil {
				t.Error("a silent command ended well")
			}
		})
	}
}

// TestModelsSayWhatIsUnknown: every limit has its source or says that there is
// none, and every length of time that a document names is one that the model
// has.
func TestModelsSayWhatIsUnknown(t *testing.T) {
	t.Parallel()
	for _, m := range cloud.Models() {
		for _, l := range m.Limits {
			if unknown := strings.Contains(l.String(), "unknown"); unknown != (l.Source == "") {
				t.Errorf("%s: %s", m.Name, l)
			}
			if (l.Life > 0 || l.Idle > 0) && (!l.Done || l.Source == "") {
				t.Errorf("%s has a limit of time without source, or does not keep it: %s", m.Name, l)
			}
		}
	}
}
