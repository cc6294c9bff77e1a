package runtime

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// said is a log that is read while it is written.
type said struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.buf.String()
}

// TestObservability: an edge by itself tells of its certificate, with --observability.
func TestObservability(t *testing.T) {
	t.Parallel()
	dir, moved := unpacked(t, "../generator/testdata/render/default.txtar"), t.TempDir()
	b, err := Read(dir, Edge, "")
	if err != nil {
		t.Fatal(err)
	}
	var log said
	p, err := newProcess(slog.New(slog.NewTextHandler(&log, nil)), io.Discard, runOptions{dir: dir, role: string(Edge), state: moved, observability: "127.0.0.1:0"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p.machine.Listen = func(ctx context.Context, network, _ string) (net.Listener, error) {
		var lc net.ListenConfig
		return lc.Listen(ctx, network, "127.0.0.1:0")
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.run(ctx, b, nil) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	listening := regexp.MustCompile(`address=(\S+) for=observability`)
	address := ""
	for deadline := time.Now().Add(20 * time.Second); address == "" && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if m := listening.FindStringSubmatch(log.String()); m != nil {
			address = m[1]
		}
	}
	if address == "" {
		t.Fatalf("nobody listens:\n%s", &log)
	}
	ask := func(path string) (int, string) { t.Helper(); return get(t, "http://"+address+path) }
	if code, _ := ask("/liveness"); code != http.StatusOK {
		t.Error(code)
	}
	if code, why := ask("/readiness"); code != http.StatusOK {
		t.Error(code, why)
	}
	_, metrics := ask("/metrics")
	for _, want := range []string{"expiry_timestamp_seconds", "renewed_timestamp_seconds", "ready"} {
		line := regexp.MustCompile(`(?m)^kasgen_certificate_` + want + `\{name="kas.example.com",source="files"\} [1-9]`)
		if !line.MatchString(metrics) {
			t.Errorf("no %s in\n%s", want, metrics)
		}
	}
	// What takes the place of a certificate and does not work is counted.
	if err := os.WriteFile(filepath.Join(moved, "tls", "kas.crt"), []byte("none"), 0o600); err != nil {
		t.Fatal(err)
	}
	failed := false
	for deadline := time.Now().Add(40 * time.Second); !failed && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		_, metrics = ask("/metrics")
		failed = strings.Contains(metrics, `kasgen_certificate_failures_total{name="kas.example.com",source="files"} 1`)
	}
	if !failed {
		t.Errorf("no failure in\n%s", metrics)
	}
	// One that works and is for another name is in use, and told of; the series
	// of the name that it ought to be for stay.
	(&world{t: t, state: moved}).lasting("tls/kas", "other.example.com", 60)
	code, body := 0, ""
	for deadline := time.Now().Add(40 * time.Second); !strings.Contains(body, "KAS3306") && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		code, body = ask("/readiness")
	}
	if code != http.StatusOK || !strings.Contains(body, "is for other.example.com and not for kas.example.com") {
		t.Errorf("with a certificate for another name: %d %q", code, body)
	}
	_, metrics = ask("/metrics")
	for _, want := range []string{`ready{name="kas.example.com",source="files"} 0`, `ready{name="other.example.com",source="files"} 1`} {
		if !strings.Contains(metrics, "kasgen_certificate_"+want) {
			t.Errorf("no %s in\n%s", want, metrics)
		}
	}
}
