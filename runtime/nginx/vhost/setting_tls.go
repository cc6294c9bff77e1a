package vhost

import (
	"crypto/tls"
	"slices"
	"strings"

	"kasgen/internal/nginxconf"
	"kasgen/runtime/nginx/directive"
)

// tlsSettings are how TLS with clients is ended.
func tlsSettings() map[string]setting {
	return map[string]setting{
		"ssl_certificate":      {outside, listOf(func(s *settings) *[]string { return &s.certificates })},
		"ssl_certificate_key":  {outside, listOf(func(s *settings) *[]string { return &s.keys })},
		"ssl_reject_handshake": switched(outside, func(s *settings) *bool { return &s.tls.reject }),
		"ssl_protocols": {outside, func(l *loader, s *scope, d *nginxconf.Directive, _ bool) {
			if l.Simple(d, 1, -1) {
				s.tls.min, s.tls.max = l.versions(d)
			}
		}},
		"ssl_ciphers": {outside, func(l *loader, s *scope, d *nginxconf.Directive, _ bool) {
			if l.Simple(d, 1, 1) {
				s.tls.suites = l.suites(d.Args[0])
			}
		}},
		"ssl_ecdh_curve": {outside, func(l *loader, s *scope, d *nginxconf.Directive, _ bool) {
			if l.Simple(d, 1, 1) {
				s.tls.curves = l.curves(d.Args[0])
			}
		}},
	}
}

func listOf(of func(*settings) *[]string) func(*loader, *scope, *nginxconf.Directive, bool) {
	return func(l *loader, s *scope, d *nginxconf.Directive, first bool) {
		to := of(s.settings)
		if first {
			*to = nil
		}
		if l.Simple(d, 1, 1) {
			if strings.Contains(d.Args[0].Value, "$") {
				l.Unsupported(d.Args[0], "a certificate must be known before a client comes", "write the file's name")
			}
			*to = append((*to)[:len(*to):len(*to)], d.Args[0].Value)
		}
	}
}

// versions wants neighbours: crypto/tls has a range.
func (l *loader) versions(d *nginxconf.Directive) (low, high uint16) {
	known := []string{"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"}
	var got []uint16
	for _, w := range d.Args {
		i := slices.Index(known, w.Value)
		if i < 0 {
			if w.Value != "SSLv2" && w.Value != "SSLv3" { // nobody speaks them any more
				l.Unknown(w, d.Name.Value, known)
			}
			continue
		}
		got = append(got, tls.VersionTLS10+uint16(i))
	}
	if len(got) == 0 {
		return 0, 0
	}
	slices.Sort(got)
	got = slices.Compact(got)
	low, high = got[0], got[len(got)-1]
	if int(high-low) != len(got)-1 {
		l.Unsupported(d.Args[0], "the versions have a gap, and Go's TLS has a range", "write neighbouring versions")
	}
	return low, high
}

// suites is the TLS 1.2 suites of a cipher string, nil for crypto/tls's own.
func (l *loader) suites(w nginxconf.Word) []uint16 {
	known := suites()
	var out []uint16
	for name := range strings.FieldsFuncSeq(w.Value, func(r rune) bool { return r == ':' || r == ',' || r == ' ' }) {
		switch id, ok := known[name]; {
		case ok:
			out = append(out, id)
		case name == "HIGH" || name == "DEFAULT" || name == "ALL" || name == "HIGH+ECDSA":
			return nil
		case !missing(name):
			l.Unsupported(nginxconf.Word{Value: name, Pos: w.Pos}, "the embedded runtime knows suites by their own names, and HIGH", "name the suites")
		}
	}
	if len(out) == 0 {
		l.Add(directive.Unsupported, w.Pos, "none of these suites is supported", "Go's TLS has no suite without forward secrecy or with DHE", "name ECDHE suites")
	}
	return out
}

func (l *loader) curves(w nginxconf.Word) []tls.CurveID {
	known := map[string]tls.CurveID{
		"X25519": tls.X25519, "prime256v1": tls.CurveP256, "P-256": tls.CurveP256, "secp384r1": tls.CurveP384, "P-384": tls.CurveP384,
		"secp521r1": tls.CurveP521, "P-521": tls.CurveP521, "X25519MLKEM768": tls.X25519MLKEM768,
	}
	if w.Value == "auto" {
		return nil
	}
	var out []tls.CurveID
	for name := range strings.SplitSeq(w.Value, ":") {
		c, ok := known[name]
		if !ok {
			l.Unsupported(nginxconf.Word{Value: name, Pos: w.Pos}, "Go's TLS does not have this curve", "write auto")
			continue
		}
		out = append(out, c)
	}
	return out
}

// pairs joins certificates and keys, once all of a server is read.
func (l *loader) pairs(s *settings, at nginxconf.Word) {
	if len(s.certificates) != len(s.keys) {
		l.Add(directive.Incomplete, at.Pos, "ssl_certificate and ssl_certificate_key do not come in pairs", "nginx wants a key for each certificate", "add what is missing")
		return
	}
	s.tls.certificates = nil
	for i := range s.certificates {
		s.tls.certificates = append(s.tls.certificates, certificate{cert: s.certificates[i], key: s.keys[i]})
	}
}
