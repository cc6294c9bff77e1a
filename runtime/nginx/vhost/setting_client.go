package vhost

import (
	"time"

	"kasgen/internal/nginxconf"
)

// clientSettings are about the client's side: how long it may take, and how
// large its requests may be.
func clientSettings() map[string]setting {
	return map[string]setting{
		"client_header_timeout":        limit(outside, func(s *settings) *time.Duration { return &s.headerTimeout }),
		"client_body_timeout":          limit(everywhere, func(s *settings) *time.Duration { return &s.bodyTimeout }),
		"send_timeout":                 limit(everywhere, func(s *settings) *time.Duration { return &s.sendTimeout }),
		"keepalive_time":               limit(everywhere, func(s *settings) *time.Duration { return &s.keepaliveTime }),
		"keepalive_requests":           number(everywhere, 1, func(s *settings) *int { return &s.keepaliveRequests }),
		"client_max_body_size":         size(everywhere, 0, func(s *settings) *int64 { return &s.maxBody }),
		"client_body_buffer_size":      size(everywhere, 1, func(s *settings) *int64 { return &s.bodyBuffer }),
		"http2_max_concurrent_streams": number(outside, 1, func(s *settings) *int { return &s.streams }),
		"merge_slashes":                switched(outside, func(s *settings) *bool { return &s.mergeSlashes }),
		"ignore_invalid_headers":       switched(outside, func(s *settings) *bool { return &s.ignoreInvalid }),
		"underscores_in_headers":       switched(outside, func(s *settings) *bool { return &s.underscores }),
		"keepalive_timeout": {everywhere, func(l *loader, s *scope, d *nginxconf.Directive, _ bool) {
			if l.Simple(d, 1, 2) {
				s.keepalive = l.Duration(d.Args[0]) // the second is a header that clients do not heed
			}
			if len(d.Args) == 2 {
				l.Unsupported(d.Args[1], "the header Keep-Alive is not sent", "remove the second time")
			}
		}},
		"large_client_header_buffers": {outside, func(l *loader, s *scope, d *nginxconf.Directive, _ bool) {
			if l.Simple(d, 2, 2) {
				s.headBuffers = l.Number(d.Args[0], d.Args[0].Value, 1, 1<<10)
				s.headSize = int(l.Size(d.Args[1], 256))
				if s.headBuffers*s.headSize > maxHead {
					l.Unsupported(d.Args[1], "the embedded runtime reads heads of 256 KiB at most", "write smaller buffers")
				}
			}
		}},
		"lingering_time":    duration(everywhere, func(s *settings) *time.Duration { return &s.lingering.total }),
		"lingering_timeout": duration(everywhere, func(s *settings) *time.Duration { return &s.lingering.silent }),
		"lingering_close": {everywhere, func(l *loader, s *scope, d *nginxconf.Directive, _ bool) {
			if !l.Simple(d, 1, 1) {
				return
			}
			switch w := d.Args[0]; w.Value {
			case "on", "off":
				s.lingering.off = w.Value == "off"
			case "always":
				l.Unsupported(w, "the embedded runtime lingers where a request has not ended", "write on")
			default:
				l.Unknown(w, d.Name.Value, []string{"on", "off", "always"})
			}
		}},
		"set_real_ip_from": {everywhere, func(l *loader, s *scope, d *nginxconf.Directive, first bool) {
			if first {
				s.realIP.trusted = nil
			}
			if l.Simple(d, 1, 1) {
				l.Network(&s.realIP.trusted, d.Args[0])
			}
		}},
		"real_ip_header": {everywhere, func(l *loader, s *scope, d *nginxconf.Directive, _ bool) {
			if l.Simple(d, 1, 1) {
				if s.realIP.header = canonical(d.Args[0].Value); s.realIP.header == canonical(proxyProtocol) {
					s.realIP.header = proxyProtocol
				}
			}
		}},
		"real_ip_recursive": switched(everywhere, func(s *settings) *bool { return &s.realIP.recursive }),
	}
}
