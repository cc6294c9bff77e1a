package nginx

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"kasgen/internal/nginxconf"
	"kasgen/runtime/balancer"
	"kasgen/runtime/certs"
	"kasgen/runtime/nginx/directive"
)

// settings is the directives that stream{} hands down to server{}.
type settings struct {
	preread        bool
	prereadTimeout time.Duration
	prereadSize    int
	headerTimeout  time.Duration
	connect, idle  time.Duration
	sendProxy      bool
	keepAlive      bool
	halfClose      bool
	nextUpstream   bool
	nextTries      int
	nextTimeout    time.Duration
	handshake      time.Duration
	certificates   []nginxconf.Word
	keys           []nginxconf.Word
	alpn           []string
	minTLS, maxTLS uint16
	trusted        []netip.Prefix
	log            bool
}

// defaults is what nginx 1.22 documents.
func defaults() settings {
	return settings{
		prereadTimeout: 30 * time.Second, prereadSize: 16 << 10, headerTimeout: 30 * time.Second,
		connect: 60 * time.Second, idle: 10 * time.Minute, nextUpstream: true, handshake: 60 * time.Second,
		// "TLSv1 TLSv1.1 TLSv1.2"; 1.3 only from 1.23.4 on. OpenSSL 3 at its
		// default security level does not speak the first two.
		minTLS: tls.VersionTLS12, maxTLS: tls.VersionTLS12,
	}
}

var settingNames = [...]string{
	"ssl_preread", "preread_timeout", "preread_buffer_size", "proxy_protocol", "proxy_protocol_timeout", "proxy_connect_timeout",
	"proxy_timeout", "proxy_socket_keepalive", "proxy_half_close", "proxy_next_upstream", "proxy_next_upstream_tries",
	"proxy_next_upstream_timeout", "ssl_certificate", "ssl_certificate_key", "ssl_protocols", "ssl_alpn", "ssl_handshake_timeout",
	"set_real_ip_from", "access_log", "error_log", "tcp_nodelay",
}

// scope reads the settings of one block: lists begin anew in a server that
// has one of its own.
type scope struct {
	*settings
	seen map[string]bool
}

// setting reads d, if it is a setting.
func (l *loader) setting(s scope, d *nginxconf.Directive) bool {
	name := d.Name.Value
	if !slices.Contains(settingNames[:], name) && !slices.Contains(noEffect[:], name) {
		return false
	}
	first := !s.seen[name]
	s.seen[name] = true
	if !first && !slices.Contains([]string{"ssl_certificate", "ssl_certificate_key", "set_real_ip_from", "access_log", "error_log"}, name) {
		l.Add(directive.Duplicate, d.Name.Pos, fmt.Sprintf("%q is duplicate", name), "nginx takes it once in a block", "remove one of them")
	}
	switch name {
	case "ssl_preread":
		s.preread = l.Flag(d)
	case "preread_timeout":
		l.limit(d, &s.prereadTimeout)
	case "preread_buffer_size":
		if l.Simple(d, 1, 1) {
			s.prereadSize = l.peekSize(d.Args[0])
		}
	case "proxy_protocol":
		s.sendProxy = l.Flag(d)
	case "proxy_protocol_timeout":
		l.limit(d, &s.headerTimeout)
	case "proxy_connect_timeout":
		l.limit(d, &s.connect)
	case "proxy_timeout":
		l.limit(d, &s.idle)
	case "proxy_socket_keepalive":
		s.keepAlive = l.Flag(d)
	case "proxy_half_close":
		s.halfClose = l.Flag(d)
	case "proxy_next_upstream":
		s.nextUpstream = l.Flag(d)
	case "proxy_next_upstream_tries":
		if l.Simple(d, 1, 1) {
			s.nextTries = l.Number(d.Args[0], d.Args[0].Value, 0, 1<<30)
		}
	case "proxy_next_upstream_timeout":
		if l.Simple(d, 1, 1) {
			s.nextTimeout = l.Duration(d.Args[0])
		}
	case "ssl_handshake_timeout":
		l.limit(d, &s.handshake)
	case "ssl_certificate":
		l.list(d, first, &s.certificates)
	case "ssl_certificate_key":
		l.list(d, first, &s.keys)
	case "ssl_alpn":
		if l.Simple(d, 1, -1) {
			s.alpn = values(d.Args)
		}
	case "ssl_protocols":
		if l.Simple(d, 1, -1) {
			s.minTLS, s.maxTLS = l.versions(d)
		}
	case "set_real_ip_from":
		if first {
			s.trusted = nil
		}
		if l.Simple(d, 1, 1) {
			l.Network(&s.trusted, d.Args[0])
		}
	case "access_log":
		if l.Simple(d, 1, -1) {
			s.log = d.Args[0].Value != "off"
		}
	case "tcp_nodelay":
		if !l.Flag(d) && l.Simple(d, 1, 1) {
			l.Unsupported(d.Args[0], "the embedded runtime sends at once, as nginx does by default", "remove the line")
		}
	default:
		l.Simple(d, 1, -1) // in noEffect
	}
	return true
}

// noEffect is what changes no byte: the size of buffers that splice does not
// have, hash tables, the log's form, the store of TLS sessions.
var noEffect = [...]string{
	"proxy_buffer_size", "error_log", "ssl_session_cache", "ssl_session_timeout",
	"map_hash_max_size", "map_hash_bucket_size", "variables_hash_max_size", "variables_hash_bucket_size",
}

// limit reads a time that nginx waits with, where zero would end everything
// at once.
func (l *loader) limit(d *nginxconf.Directive, to *time.Duration) {
	if !l.Simple(d, 1, 1) {
		return
	}
	if *to = l.Duration(d.Args[0]); *to == 0 && strings.Trim(d.Args[0].Value, "0smhdwMy ") == "" {
		l.Add(directive.Arguments, d.Args[0].Pos, d.Name.Value+" of zero", "nginx would close every connection at once", "write how long to wait")
	}
}

func (l *loader) peekSize(w nginxconf.Word) int {
	n := l.Size(w, 1)
	if n > maxPeek {
		l.Arguments(w, "%q is larger than %d", w.Value, maxPeek)
		return maxPeek
	}
	return int(n)
}

// maxPeek bounds, in bytes, what is kept of every client that says nothing.
const maxPeek = 1 << 30

func (l *loader) list(d *nginxconf.Directive, first bool, to *[]nginxconf.Word) {
	if first {
		*to = nil
	}
	if l.Simple(d, 1, 1) {
		*to = append((*to)[:len(*to):len(*to)], d.Args[0])
	}
}

// versions wants neighbours: crypto/tls has a range.
func (l *loader) versions(d *nginxconf.Directive) (low, high uint16) {
	known := map[string]uint16{"TLSv1": tls.VersionTLS10, "TLSv1.1": tls.VersionTLS11, "TLSv1.2": tls.VersionTLS12, "TLSv1.3": tls.VersionTLS13}
	var got []uint16
	for _, w := range d.Args {
		v, ok := known[w.Value]
		if !ok {
			l.Unknown(w, "ssl_protocols", sortedKeys(known))
			return 0, 0
		}
		got = append(got, v)
	}
	slices.Sort(got)
	got = slices.Compact(got)
	low, high = got[0], got[len(got)-1]
	if int(high-low) != len(got)-1 {
		l.Unsupported(d.Args[0], "the versions have a gap, and Go's TLS has a range", "write neighbouring versions")
	}
	return low, high
}

// terms is how TLS is ended.
func (l *loader) terms(s *settings, at nginxconf.Word) *balancer.ServerTLS {
	if len(s.certificates) == 0 || len(s.certificates) != len(s.keys) {
		l.Add(directive.Incomplete, at.Pos, "listen ssl wants ssl_certificate and ssl_certificate_key in pairs", "TLS cannot be ended without", "add them")
		return nil
	}
	t := &balancer.ServerTLS{ALPN: s.alpn, RequireALPN: true, Min: s.minTLS, Max: s.maxTLS}
	for i := range s.certificates {
		c := balancer.Certificate{Cert: s.certificates[i].Value, Key: s.keys[i].Value}
		t.Certificates = append(t.Certificates, c)
		l.pairs = certs.Add(l.pairs, certs.Served{Pair: c.Pair()})
		for _, f := range []string{c.Cert, c.Key} {
			if !slices.Contains(l.files, f) {
				l.files = append(l.files, f)
			}
		}
	}
	return t
}

func values(words []nginxconf.Word) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = w.Value
	}
	return out
}
