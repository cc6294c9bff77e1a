package scenarios

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"kasgen/scenarios/lab"
	"kasgen/scenarios/operation"
)

// What is in the files is what runs: each test changes one file of a bundle by
// hand and sees the change on the wire.

func TestListenPortInTheFile(t *testing.T) {
	t.Parallel()
	dir := rendered(t)
	edit(t, dir, "haproxy/haproxy.cfg", "bind 0.0.0.0:443", "bind 0.0.0.0:8443")
	l, moves := start(t, dir)
	if !moves.has("listener 0.0.0.0:8443") || moves.has("listener 0.0.0.0:443") {
		t.Errorf("the front listens on %v", moves.m)
	}
	if err := one(t, l, "get", operation.Plain); err != nil {
		t.Error(err)
	}
}

func TestBackendInTheFile(t *testing.T) {
	t.Parallel()
	dir := rendered(t)
	edit(t, dir, "haproxy/haproxy.cfg", "server edge-1 127.0.0.1:9443", "server edge-1 127.0.0.1:9444")
	edit(t, dir, "edge/edge.yaml", "address: 127.0.0.1:9443", "address: 127.0.0.1:9444")
	l, moves := start(t, dir)
	if !moves.has("listener 127.0.0.1:9444") || moves.has("listener 127.0.0.1:9443") {
		t.Errorf("the edge listens on %v", moves.m)
	}
	if err := one(t, l, "get", operation.Plain); err != nil {
		t.Error(err)
	}
}

func TestBackendThatIsNotThere(t *testing.T) {
	t.Parallel()
	dir := rendered(t)
	edit(t, dir, "haproxy/haproxy.cfg", "server edge-1 127.0.0.1:9443", "server edge-1 127.0.0.1:9")
	l, err := lab.Start(context.Background(), lab.Options{Bundle: dir, Version: "test", Tell: func(string, string) {}, Limit: 2 * time.Second, Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		l.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "has not connected") {
		t.Errorf("agents connect through a backend that is not there: %v", err)
	}
}

func TestTimeLimitInTheFile(t *testing.T) {
	t.Parallel()
	dir := rendered(t)
	edit(t, dir, "haproxy/haproxy.cfg", "timeout client 2h", "timeout client 1s", "timeout server 2h", "timeout server 1s", "timeout tunnel 2h", "timeout tunnel 1s")
	l, _ := start(t, dir)
	c, err := net.Dial("tcp", l.Server())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetReadDeadline(time.Now().Add(8 * time.Second)); err != nil {
		t.Fatal(err)
	}
	// The edge would wait ten seconds for a handshake.
	began := time.Now()
	if _, err := c.Read(make([]byte, 1)); err == nil || strings.Contains(err.Error(), "timeout") {
		t.Errorf("a silent connection is open after %s: %v", time.Since(began), err)
	}
}

func TestRouteInTheFile(t *testing.T) {
	t.Parallel()
	dir := rendered(t)
	edit(t, dir, "edge/edge.yaml", "            - SPDY/3.1\n", "")
	l, _ := start(t, dir)
	if err := one(t, l, "exec tty", operation.WebSocket); err != nil {
		t.Errorf("exec over WebSocket: %v", err)
	}
	if err := one(t, l, "exec tty", operation.SPDY); err == nil || !strings.Contains(err.Error(), "an upgrade to SPDY/3.1 is not possible on this path") {
		t.Errorf("exec over SPDY without the route: %v", err)
	}
}

func TestPrefixInTheFile(t *testing.T) {
	t.Parallel()
	dir := rendered(t)
	edit(t, dir, "edge/edge.yaml", "prefix: /k8s-proxy", "prefix: /elsewhere")
	l, _ := start(t, dir)
	if err := one(t, l, "get", operation.Plain); err == nil || !strings.Contains(err.Error(), "status code 426") {
		t.Errorf("get without the route: %v", err)
	}
}
