package bench

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"testing"

	"kasgen/runtime/state"
)

// BenchmarkIdleEdge is what an upgraded stream costs the edge alone while
// nothing happens: TLS on one side, a connection to an upstream on the other.
func BenchmarkIdleEdge(b *testing.B) {
	pair := filepath.Join(b.TempDir(), "kas")
	if _, err := state.Ensure([]state.Item{{Path: pair + "-ca.crt", Kind: state.CA}, {Path: pair + ".crt", Kind: state.Certificate, Names: []string{"kas.example.com"}}}); err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{1000, 4000} {
		b.Run(fmt.Sprintf("streams-%d", n), func(b *testing.B) {
			edge := spawn(b, "edge", pairKey+"="+pair, upstreamKey+"="+newSwitcher(b))
			idleUpgrade(b, edge.addrs[0]).Close() // what the first one costs is not each one's
			before := edge.ask("memory")
			for range n {
				defer idleUpgrade(b, edge.addrs[0]).Close()
			}
			report(b, before, edge.ask("memory"), n, 24)
		})
	}
}

// newSwitcher answers every request with a 101 and waits for its end.
func newSwitcher(b *testing.B) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
					return
				}
				io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
				io.Copy(io.Discard, c)
			}()
		}
	}()
	return ln.Addr().String()
}

func idleUpgrade(b *testing.B, addr string) net.Conn {
	b.Helper()
	c, err := tls.Dial("tcp", addr, clientTLS("http/1.1"))
	if err != nil {
		b.Fatal(err)
	}
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: kas.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		b.Fatalf("%v, %v", resp, err)
	}
	return c
}
