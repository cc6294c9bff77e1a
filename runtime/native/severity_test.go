package native_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"kasgen/internal/judge"
	"kasgen/runtime/native"
)

// lines is what a logger wrote, for a reader beside it.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// await waits until a line holds all of the words.
func (l *lines) await(t *testing.T, words ...string) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for time.Now().Before(deadline) {
		for line := range strings.Lines(l.String()) {
			missing := false
			for _, w := range words {
				missing = missing || !strings.Contains(line, w)
			}
			if !missing {
				return
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("no line with %q in:\n%s", words, l.String())
}

// TestSeverity has the real programs warn of their files and complain of a
// server that is not there: it is logged as a warning and as an error. What they
// say when they are told to end is neither.
func TestSeverity(t *testing.T) {
	t.Parallel()
	bind, other, dead := free(t), free(t), free(t)
	dir := t.TempDir()
	paths := files(t, bind, dead)
	add := func(kind native.Kind, text string) {
		f, err := os.OpenFile(paths[kind], os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := f.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	add(native.Nginx, fmt.Sprintf("http { access_log off; server { listen %[1]s; server_name a; } server { listen %[1]s; server_name a; } }\n", other))
	add(native.HAProxy, "backend checked\n    timeout check 1s\n    server gone "+dead+" check inter 20ms fall 1\n")
	tests := map[native.Kind]struct{ warning, fault []string }{
		native.Nginx:   {[]string{"level=WARN", "[warn]", "conflicting server name"}, []string{"level=ERROR", "[error]", "connect() failed"}},
		native.HAProxy: {[]string{"level=WARN", "[WARNING]", "checked/gone is DOWN"}, []string{"level=ERROR", "[ALERT]", "'checked' has no server available"}},
	}
	for kind, want := range tests {
		t.Run(string(kind), func(t *testing.T) {
			judge.Find(t, string(kind))
			p, err := native.Find(native.Config{Kind: kind, Path: paths[kind], Binds: []string{bind}, Stream: kind == native.Nginx}, filepath.Join(dir, string(kind)))
			if err == nil {
				err = os.Mkdir(filepath.Join(dir, string(kind)), 0o755)
			}
			if err == nil {
				err = p.Check(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
			var logged lines
			x, err := p.Start(t.Context(), slog.New(slog.NewTextHandler(&logged, nil)))
			if err != nil {
				t.Fatal(err)
			}
			c, err := net.Dial("tcp", bind)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			logged.await(t, want.warning...)
			logged.await(t, want.fault...)
			// The start's look at the port met the same dead server, and whose
			// complaint was awaited is not known: what is said of both is in the
			// pipe once both connections are closed.
			if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, c); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("the connection to a dead server stays open")
			}
			ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
			defer cancel()
			if err := x.Drain(ctx); err != nil {
				t.Error(err)
			}
			said := logged.String()
			last := want.fault[len(want.fault)-1]
			_, said, _ = strings.Cut(said[strings.LastIndex(said, last):], "\n")
			if !strings.Contains(said, "level=INFO") || strings.Contains(said, "level=ERROR") || strings.Contains(said, "level=WARN") {
				t.Errorf("of its end it says:\n%s", said)
			}
		})
	}
}
