package host

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// address is one that was free a moment ago.
func address(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func listen(t *testing.T, h *Host, network, address string) net.Listener {
	t.Helper()
	ln, err := h.Listen(t.Context(), network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln
}

// TestSockets: a connection that waits while one generation follows another is
// accepted by the younger one.
func TestSockets(t *testing.T) {
	t.Parallel()
	s := NewSockets()
	h := s.Host(Machine(slog.New(slog.DiscardHandler)), "")
	at := address(t)
	old := listen(t, h, "tcp", at)
	s.Commit()
	c, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	young := listen(t, h, "tcp", at)
	if _, ok := young.(*net.TCPListener); !ok {
		t.Errorf("the younger one is a %T", young)
	}
	s.Commit()
	old.Close()
	got, err := young.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	if got.RemoteAddr().String() != c.LocalAddr().String() {
		t.Errorf("%s was accepted, not %s", got.RemoteAddr(), c.LocalAddr())
	}
	young.Close()
	if c, err := net.Dial("tcp", at); err == nil {
		c.Close()
		t.Error("the socket is open after its last listener")
	}
	// It is gone: the next one opens it anew.
	listen(t, h, "tcp", at)
}

func TestSocketsForget(t *testing.T) {
	t.Parallel()
	s := NewSockets()
	h := s.Host(Machine(slog.New(slog.DiscardHandler)), "")
	at := address(t)
	old := listen(t, h, "tcp", at)
	s.Commit()
	listen(t, h, "tcp", at).Close()
	s.Forget()
	// A generation that did not come to be has changed nothing.
	young := listen(t, h, "tcp", at)
	s.Commit()
	if young.Addr().String() != old.Addr().String() {
		t.Errorf("%s is not %s", young.Addr(), old.Addr())
	}
}

func TestSocketsTwice(t *testing.T) {
	t.Parallel()
	s := NewSockets()
	h := s.Host(Machine(slog.New(slog.DiscardHandler)), "")
	at := address(t)
	listen(t, h, "tcp", at)
	if _, err := h.Listen(t.Context(), "tcp", at); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("an address twice in one generation: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Listen(ctx, "tcp", address(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}

// TestSocketsClass: what one host has moved elsewhere is not another's.
func TestSocketsClass(t *testing.T) {
	t.Parallel()
	s := NewSockets()
	base := Machine(slog.New(slog.DiscardHandler))
	moved := *base
	moved.Listen = func(ctx context.Context, network, _ string) (net.Listener, error) {
		return base.Listen(ctx, network, "127.0.0.1:0")
	}
	front, h := s.Host(&moved, "front"), s.Host(base, "")
	at := address(t)
	if a, b := listen(t, front, "tcp", at), listen(t, h, "tcp", at); a.Addr().String() == b.Addr().String() {
		t.Errorf("both are on %s", a.Addr())
	}
}

// TestSocketsUnix: the path stays as long as somebody listens there.
func TestSocketsUnix(t *testing.T) {
	t.Parallel()
	s := NewSockets()
	h := s.Host(Machine(slog.New(slog.DiscardHandler)), "")
	path := filepath.Join(t.TempDir(), "s")
	old := listen(t, h, "unix", path)
	s.Commit()
	young := listen(t, h, "unix", path)
	s.Commit()
	old.Close()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	young.Close()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the path is left behind: %v", err)
	}
}
