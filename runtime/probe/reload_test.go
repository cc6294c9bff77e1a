package probe

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// TestReload reads limits as the programs do: 0 is none, HAProxy's last holds,
// and of several the shortest is named.
func TestReload(t *testing.T) {
	t.Parallel()
	const nginx, stream, haproxy, edge = "nginx/nginx.conf", "nginx/stream.conf", "haproxy/haproxy.cfg", "edge/edge.yaml"
	for _, tc := range []struct {
		name   string
		files  map[string]string
		result Result
		line   string
	}{
		{"no limit", map[string]string{nginx: "events {}\n"}, Pass, ""},
		{"long enough", map[string]string{nginx: "worker_shutdown_timeout 20s;\n", haproxy: "global\n    hard-stop-after 20s\n"}, Pass, ""},
		{"long enough in parts", map[string]string{nginx: "worker_shutdown_timeout 1m5s;\n"}, Pass, ""},
		{"0 is none", map[string]string{nginx: "worker_shutdown_timeout 0;\n", haproxy: "global\n    hard-stop-after 0\n"}, Pass, ""},
		{"a second less", map[string]string{nginx: "events {}\nworker_shutdown_timeout 19s;\n"}, Warn, "worker_shutdown_timeout 19s"},
		{"milliseconds", map[string]string{haproxy: "global\n    hard-stop-after 19999\n"}, Warn, "hard-stop-after 19999"},
		{"the TCP balancer", map[string]string{stream: "worker_shutdown_timeout 1s;\n"}, Warn, "worker_shutdown_timeout 1s"},
		{"the last holds", map[string]string{haproxy: "global\n    hard-stop-after 1s\n    hard-stop-after 30s\n"}, Pass, ""},
		{"not of the whole program", map[string]string{haproxy: "defaults\n    timeout client-fin 1s\n"}, Pass, ""},
		{"the shortest", map[string]string{nginx: "worker_shutdown_timeout 5s;\n", haproxy: "global\n    hard-stop-after 2s\n"}, Warn, "hard-stop-after 2s"},
		{"neither program", map[string]string{edge: edgeFile}, Skip, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for name, text := range tc.files {
				write(t, filepath.Join(dir, name), text)
			}
			b, err := ReadBundle(dir)
			if err != nil {
				t.Fatal(err)
			}
			c := b.reload()
			if line := blamed(t, &c); c.Result != tc.result || (line == "") != (tc.line == "") || !strings.Contains(line, tc.line) {
				t.Errorf("%s %q, want %s %q: %s", c.Result, line, tc.result, tc.line, c.Observed)
			}
		})
	}
}

// TestReloadAsWritten has nothing against a short limit that kasgen wrote, for
// kasgen.yaml asks for it, and warns of the same once the file was changed.
func TestReloadAsWritten(t *testing.T) {
	t.Parallel()
	a, err := txtar.ParseFile("../../generator/testdata/render/migration.txtar")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, f := range a.Files {
		write(t, filepath.Join(dir, f.Name), string(f.Data))
	}
	judged := func() Check {
		b, err := ReadBundle(dir)
		if err != nil {
			t.Fatal(err)
		}
		return b.reload()
	}
	if c := judged(); c.Result != Pass || !strings.Contains(c.Observed, "timeouts.drain") || !strings.Contains(c.Observed, "hard-stop-after 2500ms") {
		t.Errorf("%+v", c)
	}
	file := filepath.Join(dir, "haproxy/haproxy.cfg")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	write(t, file, edit(t, string(text), "hard-stop-after 2500ms", "hard-stop-after 1s"))
	if c := judged(); c.Result != Warn || !strings.Contains(blamed(t, &c), "hard-stop-after 1s") || strings.Contains(c.Observed, "worker_shutdown_timeout") {
		t.Errorf("%+v", c)
	}
}
