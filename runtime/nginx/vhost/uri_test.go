package vhost

import (
	"strings"
	"testing"
	"time"
)

// FuzzTarget holds paths to what files are opened by: absolute, and without a
// segment that climbs.
func FuzzTarget(f *testing.F) {
	for _, s := range []string{"/a/%2e%2e/b", "//x/./../y%2F..", "/%41?b#c", "http://h?x", "/a/..", "/...", "/%2525"} {
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, raw string, merge bool) {
		got, err := parseTarget(raw, merge)
		if err != nil {
			return
		}
		if !strings.HasPrefix(got.uri, "/") || strings.Contains(got.uri+"/", "/../") || strings.Contains(got.uri+"/", "/./") {
			t.Errorf("%q is the path %q", raw, got.uri)
		}
		if merge && strings.Contains(got.uri, "//") {
			t.Errorf("%q has two slashes: %q", raw, got.uri)
		}
		// Once escaped a path means itself.
		again, err := parseTarget(escape(got.uri, inURI), merge)
		if err != nil || again.uri != got.uri {
			t.Errorf("%q is %q, and then %q, %v", raw, got.uri, again.uri, err)
		}
	})
}

// TestDefaults holds the limits that hurt to what nginx documents.
func TestDefaults(t *testing.T) {
	t.Parallel()
	s := defaults(false)
	for name, got := range map[string]time.Duration{
		"client_body_timeout": s.bodyTimeout, "client_header_timeout": s.headerTimeout, "send_timeout": s.sendTimeout,
		"proxy_connect_timeout": s.proxy.connect, "proxy_read_timeout": s.proxy.read, "proxy_send_timeout": s.proxy.send,
		"grpc_connect_timeout": s.grpc.connect, "grpc_read_timeout": s.grpc.read, "grpc_send_timeout": s.grpc.send,
	} {
		if got != time.Minute {
			t.Errorf("%s is %v by default, want 60s", name, got)
		}
	}
	if s.maxBody != 1<<20 || s.keepalive != 75*time.Second || s.keepaliveRequests != 1000 || s.streams != 128 {
		t.Errorf("client_max_body_size %d, keepalive_timeout %v, keepalive_requests %d, http2_max_concurrent_streams %d", s.maxBody, s.keepalive, s.keepaliveRequests, s.streams)
	}
}
