package haproxy

import (
	"net"
	"strings"
	"testing"

	"kasgen/runtime/balancer/balancertest"
)

const head = `defaults
    mode tcp
    timeout connect 1s
    timeout client 2s
    timeout server 2s
`

// TestFileDecides changes one line at a time and sees another behaviour.
func TestFileDecides(t *testing.T) {
	t.Parallel()
	a, b := balancertest.Answering(t, "a", false), balancertest.Answering(t, "b", false)
	text := head + "listen l\n bind 127.0.0.1:7001\n server s " + a + "\n"
	if got := balancertest.Send(t, embedded(t, text)("127.0.0.1:7001"), "x"); got != "a:x" {
		t.Errorf("got %q", got)
	}
	if got := balancertest.Send(t, embedded(t, strings.Replace(text, a, b, 1))("127.0.0.1:7001"), "x"); got != "b:x" {
		t.Errorf("another server in the file: got %q", got)
	}
	if got := balancertest.Send(t, embedded(t, strings.Replace(text, "7001", "7002", 1))("127.0.0.1:7002"), "x"); got != "a:x" {
		t.Errorf("another port in the file: got %q", got)
	}
	// The server keeps quiet; the file says for how long that is endured.
	short := strings.Replace(text, "timeout client 2s", "timeout client 50", 1)
	c, err := net.Dial("tcp", embedded(t, short)("127.0.0.1:7001"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	buf := make([]byte, 16)
	n, err := c.Read(buf)
	if err != nil || string(buf[:n]) != "a:" {
		t.Fatalf("got %q, %v", buf[:n], err)
	}
	if n, err := c.Read(buf); err == nil {
		t.Errorf("a silent client got %q after its limit", buf[:n])
	}
}
