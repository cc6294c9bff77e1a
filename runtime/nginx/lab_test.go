package nginx

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"kasgen/internal/judge"
	"kasgen/internal/nginxconf"
	"kasgen/runtime/balancer/balancertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// embedded runs text on the balancer.
func embedded(t testing.TB, text string) func(bind string) string {
	t.Helper()
	c, err := Load("nginx.conf", []byte(text), nginxconf.Source{})
	if err != nil {
		t.Fatal(err)
	}
	return balancertest.Serve(t, c.New)
}

// native runs text on the real nginx, in the foreground and in a directory of
// its own.
func native(t testing.TB, text string) func(bind string) string {
	t.Helper()
	bin := judge.Find(t, "nginx")
	dir := t.TempDir()
	if module := "/usr/lib/nginx/modules/ngx_stream_module.so"; !strings.Contains(text, "load_module") {
		if _, err := os.Stat(module); err == nil {
			text = "load_module " + module + ";\n" + text
		}
	}
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return balancertest.Start(t, bin, "-p", dir, "-c", file, "-g", "daemon off; pid "+dir+"/pid; error_log stderr;")
}
