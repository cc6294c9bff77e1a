package vhost

import (
	"strings"

	"kasgen/internal/nginxconf"
	"kasgen/runtime/nginx/directive"
)

// answerSettings are about what nginx answers by itself.
func answerSettings() map[string]setting {
	return map[string]setting{
		"absolute_redirect":       switched(everywhere, func(s *settings) *bool { return &s.absoluteRedirect }),
		"port_in_redirect":        switched(everywhere, func(s *settings) *bool { return &s.portInRedirect }),
		"server_name_in_redirect": switched(everywhere, func(s *settings) *bool { return &s.serverNameInRedirect }),
		"recursive_error_pages":   switched(everywhere, func(s *settings) *bool { return &s.recursiveErrors }),
		"add_header":              headers(everywhere, true, func(s *settings) *[]header { return &s.addHeaders }),
		"server_tokens": {everywhere, func(l *loader, s *scope, d *nginxconf.Directive, _ bool) {
			if l.Simple(d, 1, 1) && d.Args[0].Value == "build" {
				l.Unsupported(d.Args[0], "the embedded runtime has no build name", "write on or off")
				return
			}
			s.serverTokens = l.Flag(d)
		}},
		"root": {everywhere, func(l *loader, s *scope, d *nginxconf.Directive, _ bool) {
			if l.Simple(d, 1, 1) {
				s.root, s.alias = l.directory(d), nil
			}
		}},
		"alias": {inLocation, func(l *loader, s *scope, d *nginxconf.Directive, _ bool) {
			if l.Simple(d, 1, 1) {
				s.alias = l.directory(d)
			}
		}},
		"index": {everywhere, func(l *loader, s *scope, d *nginxconf.Directive, _ bool) {
			if l.Simple(d, 1, -1) {
				s.index = values(d.Args)
			}
			for _, w := range d.Args {
				if strings.Contains(w.Value, "$") {
					l.Unsupported(w, "the embedded runtime serves files for ACME challenges and error pages only", "write the file's name")
				}
			}
		}},
		"default_type": {everywhere, func(l *loader, s *scope, d *nginxconf.Directive, _ bool) {
			if l.Simple(d, 1, 1) {
				s.defaultType = d.Args[0].Value
			}
		}},
		"types":      {everywhere, readTypes},
		"error_page": {everywhere, readErrorPage},
		"access_log": {everywhere | inIf, func(l *loader, s *scope, d *nginxconf.Directive, _ bool) {
			if l.Simple(d, 1, -1) {
				s.accessLog = d.Args[0].Value != "off"
			}
			if len(d.Args) > 1 && d.Args[1].Value != "combined" && !strings.Contains(d.Args[1].Value, "=") && !l.formats[d.Args[1].Value] {
				l.Reference(d.Args[1], "unknown log format "+d.Args[1].Value, d.Args[1].Value, nil)
			}
		}},
	}
}

// directory is where files lie.
func (l *loader) directory(d *nginxconf.Directive) *text {
	if t := d.Args[0].Value; !strings.HasPrefix(t, "/") && !strings.HasPrefix(t, "$") {
		l.Unsupported(d.Args[0], "nginx takes it from the directory that it was built with", "write the whole path")
	}
	return l.text(d.Args[0])
}

func readTypes(l *loader, s *scope, d *nginxconf.Directive, first bool) {
	if !l.Block(d, 0, 0) {
		return
	}
	if first {
		s.types = map[string]string{}
	}
	for _, t := range d.Block.Directives {
		if !l.Simple(t, 0, -1) {
			continue
		}
		for _, ext := range t.Args {
			s.types[strings.ToLower(ext.Value)] = t.Name.Value
		}
	}
}

// readErrorPage reads `error_page 502 503 =200 /page`.
func readErrorPage(l *loader, s *scope, d *nginxconf.Directive, first bool) {
	if !l.Simple(d, 2, -1) {
		return
	}
	if first {
		s.errorPages = nil
	}
	codes, to := d.Args[:len(d.Args)-1], d.Args[len(d.Args)-1]
	page := errorPage{overwrite: -1, to: l.text(to)}
	if last := codes[len(codes)-1]; strings.HasPrefix(last.Value, "=") {
		if page.overwrite = 0; last.Value != "=" {
			page.overwrite = l.Number(last, last.Value[1:], 100, 999)
		}
		codes = codes[:len(codes)-1]
	}
	if len(codes) == 0 {
		l.Arguments(d.Name, "error_page names no status")
	}
	for _, w := range codes {
		one := page
		one.status = l.Number(w, w.Value, 300, 599)
		if one.status == 499 {
			l.Add(directive.Arguments, w.Pos, `value "499" must be between 300 and 599, and not 499`, "nobody is left to see the page", "remove it")
		}
		s.errorPages = append(s.errorPages[:len(s.errorPages):len(s.errorPages)], one)
	}
	if strings.HasPrefix(to.Value, "@") && !strings.Contains(to.Value, "$") {
		l.namedUses = append(l.namedUses, to)
	}
}

func values(words []nginxconf.Word) []string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = w.Value
	}
	return out
}
