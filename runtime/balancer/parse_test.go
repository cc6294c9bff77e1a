package balancer

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kasgen/runtime/balancer/balancertest"
)

func TestParseHello(t *testing.T) {
	t.Parallel()
	hello := balancertest.Hello(t, "kas.example.com", "http/1.1", "h2")
	want := Hello{ServerName: "kas.example.com", ALPN: []string{"http/1.1", "h2"}}
	for n := range len(hello) {
		if _, state := ParseHello([]byte(hello[:n])); state != HelloMore {
			t.Fatalf("state %d after %d of %d bytes", state, n, len(hello))
		}
	}
	// The same message in records of one byte, of seven, and of all.
	for _, size := range []int{1, 7, len(hello)} {
		var b strings.Builder
		for rest := hello[recordHeader:]; rest != ""; {
			n := min(size, len(rest))
			b.Write([]byte{typeHandshake, 3, 1, byte(n >> 8), byte(n)})
			b.WriteString(rest[:n])
			rest = rest[n:]
		}
		got, state := ParseHello([]byte(b.String() + "more"))
		if diff := cmp.Diff(want, got); diff != "" || state != HelloDone {
			t.Errorf("records of %d bytes: state %d\n%s", size, state, diff)
		}
	}
	for _, s := range []string{
		"GET / HTTP/1.1", "\x16\x02", "\x16\x03\x01\x00\x00", "\x16\x03\x01\xff\xff", "\x16\x03\x01\x00\x01\x02",
		"\x16\x03\x01\x00\x04\x01\xff\xff\xff", "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", "\x15\x03\x01",
	} {
		if _, state := ParseHello([]byte(s)); state != HelloNone {
			t.Errorf("%q: state %d, want none", s, state)
		}
	}
}

func FuzzParseHello(f *testing.F) {
	f.Add([]byte(balancertest.Hello(f, "kas.example.com", "h2")))
	f.Add([]byte("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, state := ParseHello(b)
		if state != HelloDone && (h.ServerName != "" || h.ALPN != nil) {
			t.Fatalf("state %d with %+v", state, h)
		}
		// More bytes never change an answer that was final.
		if more, again := ParseHello(append(b[:len(b):len(b)], 0)); state != HelloMore && (again != state || cmp.Diff(h, more) != "") {
			t.Fatalf("state %d became %d with another byte", state, again)
		}
	})
}

func TestProxyHeader(t *testing.T) {
	t.Parallel()
	four := proxyHeader{netip.MustParseAddrPort("192.0.2.1:1234"), netip.MustParseAddrPort("192.0.2.2:443")}
	six := proxyHeader{netip.MustParseAddrPort("[2001:db8::1]:1"), netip.MustParseAddrPort("[2001:db8::2]:65535")}
	for _, version := range []int{1, 2} {
		for _, h := range []proxyHeader{four, six, {}} {
			text := appendProxy(nil, version, h)
			got, n, err := parseProxy(append(text[:len(text):len(text)], "rest"...))
			if err != nil || n != len(text) || got != h {
				t.Errorf("version %d, %+v: got %+v, %d of %d bytes, %v", version, h, got, n, len(text), err)
			}
			for i := range text {
				if _, _, err := parseProxy(text[:i]); !errors.Is(err, errProxyMore) {
					t.Errorf("version %d, %d of %d bytes: %v", version, i, len(text), err)
				}
			}
		}
	}
	mixed := appendProxy(nil, 1, proxyHeader{four.source, six.destination})
	if got := string(mixed); got != "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1234 65535\r\n" {
		t.Errorf("families mixed: %q", got)
	}
	for _, s := range []string{
		"GET / HTTP/1.1\r\n", "PROXY TCP4 a b 1 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", "PROXY TCP4 ::1 ::1 1 2\r\n",
		"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n", "PROXY " + strings.Repeat("x", 200), "PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
		proxyV2Signature + "\x11\x11\x00\x0c", proxyV2Signature + "\x21\x11\x00\x00", proxyV2Signature + "\x21\x11\xff\xff", proxyV2Signature + "\x22\x11\x00\x0c",
	} {
		if _, _, err := parseProxy([]byte(s)); !errors.Is(err, errProxyNone) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func FuzzParseProxy(f *testing.F) {
	f.Add([]byte("PROXY TCP4 1.2.3.4 1.2.3.5 1 2\r\nx"))
	f.Add(appendProxy(nil, 2, proxyHeader{netip.MustParseAddrPort("[::1]:1"), netip.MustParseAddrPort("[::2]:2")}))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, n, err := parseProxy(b)
		if err != nil {
			return
		}
		if n > len(b) {
			t.Fatalf("a header of %d bytes in %d", n, len(b))
		}
		again, _, err := parseProxy(appendProxy(nil, 2, h))
		if err != nil || again != h {
			t.Fatalf("%+v became %+v, %v", h, again, err)
		}
	})
}
