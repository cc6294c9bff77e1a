package faults

import (
	"testing"

	"kasgen/internal/cli"
	"kasgen/runtime/probe"
	"kasgen/scenarios/lab"
)

// TestSound: a bundle as it is written has no fault, on either front.
func TestSound(t *testing.T) {
	t.Parallel()
	for _, front := range fronts() {
		for _, topology := range []string{"A", "B", "D", "packaged"} {
			t.Run(topology+" "+string(front), func(t *testing.T) {
				t.Parallel()
				w := render(t, front, topology, "")
				w.start(t, false)
				r, code := w.probe(t, lab.WSS, "--idle", "--wait", "2s")
				if code != cli.Done {
					t.Errorf("exit code %d: %s", code, r.Verdict)
				}
				// nginx's vhosts tell gRPC by ALPN alone, which current agents always
				// offer; nothing else has even a warning.
				byALPN := topology == "D" || topology == "packaged"
				for _, c := range r.Checks {
					want := probe.Pass
					if byALPN && (c.ID == probe.CheckGRPCNoALPN || c.ID == probe.CheckGRPCHTTP1) {
						want = probe.Warn
					}
					if topology == "D" && c.ID == probe.CheckIdleExecSPDY {
						want = probe.Skip // there is none that could be silent
					}
					if c.Result != want {
						t.Errorf("%s %s, want %s: %s", c.ID, c.Result, want, c.Observed)
					}
				}
				if t.Failed() {
					show(t, r)
				}
			})
		}
	}
}
