package vhost

import (
	"crypto/tls"
	"maps"
	"net/http"
	"strings"
	"time"
)

// settings is what blocks hand down: http to server to location. Lists and
// maps are replaced as a whole, and never changed once another block has them.
type settings struct {
	// Of servers: they count before a location is known.
	headerTimeout, keepalive, keepaliveTime time.Duration
	keepaliveRequests                       int
	headBuffers, headSize, streams          int
	mergeSlashes, ignoreInvalid             bool
	underscores                             bool
	tls                                     serverTLS
	certificates, keys                      []string

	bodyTimeout, sendTimeout time.Duration
	maxBody                  int64 // bytes, 0: no limit
	bodyBuffer               int64
	serverTokens             bool
	absoluteRedirect         bool
	portInRedirect           bool
	serverNameInRedirect     bool
	root, alias              *text
	index                    []string
	types                    map[string]string
	defaultType              string
	errorPages               []errorPage
	recursiveErrors          bool
	addHeaders               []header
	realIP                   realIP
	accessLog, noLinks       bool
	proxy, grpc              passing
	gzip                     packing
	lingering                lingering
}

// Limits that several defaults share.
const (
	minute    = time.Minute
	openssl12 = tls.VersionTLS12
)

// defaults is what nginx 1.22 documents. modern is one that knows the directive
// http2: it speaks TLS 1.3 by default (since 1.23.4).
func defaults(modern bool) settings {
	passing := passing{
		connect: minute, read: minute, send: minute, headSize: 4 << 10,
		next: nextUpstream{onError: true, onTimeout: true},
		// Earlier versions are in nginx's default, but OpenSSL 3 does not speak
		// them at its own.
		tls:       upstreamTLS{min: openssl12, max: openssl12},
		buffering: true, requestBuffering: true, passHeaders: true, passBody: true,
	}
	s := settings{
		headerTimeout: minute, keepalive: 75 * time.Second, keepaliveTime: time.Hour, keepaliveRequests: 1000,
		headBuffers: 4, headSize: 8 << 10, streams: 128, mergeSlashes: true, ignoreInvalid: true,
		tls:         serverTLS{min: openssl12, max: openssl12},
		bodyTimeout: minute, sendTimeout: minute, maxBody: 1 << 20, bodyBuffer: 16 << 10,
		serverTokens: true, absoluteRedirect: true, portInRedirect: true,
		index:       []string{"index.html"},
		types:       map[string]string{"html": "text/html", "gif": "image/gif", "jpg": "image/jpeg"},
		defaultType: "text/plain", accessLog: true,
		realIP: realIP{header: "X-Real-Ip"},
		proxy:  passing, grpc: passing,
		lingering: lingering{total: 30 * time.Second, silent: 5 * time.Second},
		gzip:      packing{level: 1, least: 20, types: []string{"text/html"}},
	}
	if modern {
		s.tls.max, s.proxy.tls.max, s.grpc.tls.max = tls.VersionTLS13, tls.VersionTLS13, tls.VersionTLS13
	}
	return s
}

// clone is a block's own copy.
func (s *settings) clone() *settings {
	own := *s
	own.types = maps.Clone(s.types)
	return &own
}

// canonical is a header's name as net/http has it.
func canonical(name string) string { return http.CanonicalHeaderKey(strings.TrimSpace(name)) }
