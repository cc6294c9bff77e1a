package haproxy

import (
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"kasgen/internal/judge"
	"kasgen/runtime/balancer/balancertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// embedded runs text on the balancer.
func embedded(t testing.TB, text string) func(bind string) string {
	t.Helper()
	c, err := Load("haproxy.cfg", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return balancertest.Serve(t, c.New)
}

// native runs text on the real HAProxy.
func native(t testing.TB, text string) func(bind string) string {
	t.Helper()
	bin := judge.Find(t, "haproxy")
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return balancertest.Start(t, bin, "-db", "-f", file)
}
