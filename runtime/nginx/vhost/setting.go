package vhost

import (
	"slices"
	"strings"
	"time"

	"kasgen/internal/nginxconf"
)

// place in the file: which blocks a directive may stand in.
type block int

const (
	inHTTP block = 1 << iota
	inServer
	inLocation
	inIf // in a location

	everywhere = inHTTP | inServer | inLocation
	outside    = inHTTP | inServer
)

func (c block) String() string {
	switch c {
	case inHTTP:
		return "http"
	case inServer:
		return "server"
	case inIf:
		return "if"
	default:
		return "location"
	}
}

// scope is the settings of one block while it is read.
type scope struct {
	*settings
	where block
	seen  map[string]bool
}

// again tells whether a directive may stand more than once in a block.
func again(name string) bool {
	return slices.Contains([]string{
		"ssl_certificate", "ssl_certificate_key", "set_real_ip_from", "access_log", "error_log", "add_header", "proxy_set_header",
		"grpc_set_header", "error_page", "proxy_hide_header", "grpc_hide_header", "proxy_pass_header", "grpc_pass_header",
		"proxy_redirect", "types", "log_format", "proxy_cache_path",
	}, name)
}

// setting is how one directive is read.
type setting struct {
	in   block
	read func(l *loader, s *scope, d *nginxconf.Directive, first bool)
}

// setting reads d, if it is a setting.
func (l *loader) setting(s *scope, d *nginxconf.Directive) bool {
	name := d.Name.Value
	known, ok := l.settings[name]
	if !ok {
		return false
	}
	first := !s.seen[name]
	s.seen[name] = true
	if !first && !again(name) {
		l.Twice(d.Name)
	}
	if known.in&s.where == 0 {
		l.misplaced(d.Name, s.where)
		return true
	}
	known.read(l, s, d, first)
	return true
}

// allSettings is every setting by its name.
func allSettings() map[string]setting {
	all := map[string]setting{}
	for _, some := range []map[string]setting{clientSettings(), answerSettings(), tlsSettings(), passSettings("proxy"), passSettings("grpc"), proxySettings(), gzipSettings(), noEffect()} {
		for name, s := range some {
			all[name] = s
		}
	}
	return all
}

// The forms that settings have.

func duration(in block, of func(*settings) *time.Duration) setting {
	return setting{in, func(l *loader, s *scope, d *nginxconf.Directive, _ bool) {
		if l.Simple(d, 1, 1) {
			*of(s.settings) = l.Duration(d.Args[0])
		}
	}}
}

// limit is a time that nginx waits with, where zero would end everything at
// once.
func limit(in block, of func(*settings) *time.Duration) setting {
	return setting{in, func(l *loader, s *scope, d *nginxconf.Directive, _ bool) {
		if !l.Simple(d, 1, 1) {
			return
		}
		v := l.Duration(d.Args[0])
		if *of(s.settings) = v; v == 0 && strings.Trim(d.Args[0].Value, "0smhdwMy ") == "" {
			l.Arguments(d.Args[0], "%s of zero: nginx would give up at once", d.Name.Value)
		}
	}}
}

func switched(in block, of func(*settings) *bool) setting {
	return setting{in, func(l *loader, s *scope, d *nginxconf.Directive, _ bool) { *of(s.settings) = l.Flag(d) }}
}

func size(in block, least int64, of func(*settings) *int64) setting {
	return setting{in, func(l *loader, s *scope, d *nginxconf.Directive, _ bool) {
		if l.Simple(d, 1, 1) {
			*of(s.settings) = l.Size(d.Args[0], least)
		}
	}}
}

func number(in block, least int, of func(*settings) *int) setting {
	return setting{in, func(l *loader, s *scope, d *nginxconf.Directive, _ bool) {
		if l.Simple(d, 1, 1) {
			*of(s.settings) = l.Number(d.Args[0], d.Args[0].Value, least, 1<<30)
		}
	}}
}

// headers reads a name and a value, with `always` where that is known.
func headers(in block, always bool, of func(*settings) *[]header) setting {
	return setting{in, func(l *loader, s *scope, d *nginxconf.Directive, first bool) {
		most := 2
		if always {
			most = 3
		}
		if !l.Simple(d, 2, most) {
			return
		}
		h := header{name: canonical(d.Args[0].Value), value: l.text(d.Args[1])}
		if len(d.Args) == 3 {
			if h.always = d.Args[2].Value == "always"; !h.always {
				l.Unknown(d.Args[2], d.Name.Value, []string{"always"})
			}
		}
		to := of(s.settings)
		if first {
			*to = nil // a block with one of its own inherits none
		}
		*to = append((*to)[:len(*to):len(*to)], h)
	}}
}

// namesOf reads a list of header names.
func namesOf(of func(*settings) *[]string) setting {
	return setting{everywhere, func(l *loader, s *scope, d *nginxconf.Directive, first bool) {
		if !l.Simple(d, 1, 1) {
			return
		}
		to := of(s.settings)
		if first {
			*to = nil
		}
		*to = append((*to)[:len(*to):len(*to)], canonical(d.Args[0].Value))
	}}
}
