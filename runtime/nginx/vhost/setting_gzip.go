package vhost

import (
	"slices"
	"strings"

	"kasgen/internal/nginxconf"
)

// gzipSettings are those of the gzip module.
func gzipSettings() map[string]setting {
	proxied := []string{"any", "off", "no-cache", "no-store", "private", "no_last_modified", "no_etag", "auth", "expired"}
	return map[string]setting{
		"gzip":            switched(everywhere, func(s *settings) *bool { return &s.gzip.on }),
		"gzip_vary":       switched(everywhere, func(s *settings) *bool { return &s.gzip.vary }),
		"gzip_min_length": size(everywhere, 0, func(s *settings) *int64 { return &s.gzip.least }),
		"gzip_comp_level": {everywhere, func(l *loader, s *scope, d *nginxconf.Directive, _ bool) {
			if l.Simple(d, 1, 1) {
				s.gzip.level = l.Number(d.Args[0], d.Args[0].Value, 1, 9)
			}
		}},
		"gzip_http_version": {everywhere, func(l *loader, s *scope, d *nginxconf.Directive, _ bool) {
			if !l.Simple(d, 1, 1) {
				return
			}
			if s.gzip.http10 = d.Args[0].Value == "1.0"; !s.gzip.http10 && d.Args[0].Value != "1.1" {
				l.Arguments(d.Args[0], "%q is neither 1.0 nor 1.1", d.Args[0].Value)
			}
		}},
		"gzip_types": {everywhere, func(l *loader, s *scope, d *nginxconf.Directive, _ bool) {
			if l.Simple(d, 1, -1) {
				s.gzip.types = []string{"text/html"}
				for _, w := range d.Args {
					s.gzip.types = append(s.gzip.types, strings.ToLower(w.Value))
				}
			}
		}},
		"gzip_proxied": {everywhere, func(l *loader, s *scope, d *nginxconf.Directive, _ bool) {
			if !l.Simple(d, 1, -1) {
				return
			}
			s.gzip.proxied = values(d.Args)
			for _, w := range d.Args {
				if !slices.Contains(proxied, w.Value) {
					l.Unknown(w, d.Name.Value, proxied)
				}
			}
		}},
		"gzip_disable": {everywhere, func(l *loader, _ *scope, d *nginxconf.Directive, _ bool) {
			for _, w := range d.Args {
				if w.Value != "msie6" { // which nobody is any more
					l.Unsupported(w, "the embedded runtime does not look at who asks", "write msie6, or remove the line")
				}
			}
			l.Simple(d, 1, -1)
		}},
	}
}
