package balancertest

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"kasgen/runtime/host"
)

// Engine is what Config.New of a role returns.
type Engine interface {
	Serve(ctx context.Context) error
	Addrs() map[string]net.Addr
}

// Host is this machine, with every listener moved to a free port, so that
// tests never fight for one.
func Host() *host.Host {
	h := host.Machine(slog.New(slog.DiscardHandler))
	listen := h.Listen
	h.Listen = func(ctx context.Context, _, _ string) (net.Listener, error) {
		return listen(ctx, "tcp", "127.0.0.1:0")
	}
	return h
}

// Serve runs what start opens until the test ends, and returns where a bind
// address really listens.
func Serve[E Engine](t testing.TB, start func(context.Context, *host.Host) (E, error)) func(bind string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s, err := start(ctx, Host())
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Serve: %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Error("Serve did not end")
		}
	})
	return func(bind string) string {
		a := s.Addrs()[bind]
		if a == nil {
			t.Fatalf("nobody listens for %s; there are %v", bind, s.Addrs())
		}
		return a.String()
	}
}

// Start runs a program until the test ends, and returns a function that waits
// until it listens.
func Start(t testing.TB, bin string, args ...string) func(bind string) string {
	t.Helper()
	_, wait := StartProcess(t, bin, args...)
	return wait
}

// StartProcess is Start with the process's number.
func StartProcess(t testing.TB, bin string, args ...string) (int, func(bind string) string) {
	t.Helper()
	cmd := exec.Command(bin, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-exited:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
			<-exited
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", bin, out.String())
		}
	})
	return cmd.Process.Pid, func(bind string) string {
		t.Helper()
		for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			c, err := net.Dial("tcp", bind)
			if err == nil {
				_ = c.Close()
				return bind
			}
			select {
			case <-exited:
				t.Fatalf("%s ended: %s", bin, out.String())
			default:
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s does not listen on %s", bin, bind)
			}
		}
	}
}
