package vhost

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"kasgen/internal/nginxconf"
	"kasgen/runtime/certs"
	"kasgen/runtime/nginx/directive"
	"kasgen/runtime/nginx/mapping"
	"kasgen/runtime/nginx/upstream"
)

// loader turns the directives of http{} into a Config, gathering findings.
type loader struct {
	*directive.Reader
	config    *Config
	settings  map[string]setting
	variables map[string]*variable
	upstreams map[string]*upstream.Upstream
	formats   map[string]bool // log formats
	maps      []*httpMap
	namedUses []nginxconf.Word // names of locations that error pages go to
	logging   bool             // what is read is the form of a log
	current   *server
}

// Load reads an http{} block; drain is how long its streams live on. What is
// wrong is left with r; the Config is good if r has no errors.
func Load(r *directive.Reader, d *nginxconf.Directive, drain time.Duration) *Config {
	l := &loader{
		Reader: r, settings: allSettings(), variables: map[string]*variable{}, upstreams: map[string]*upstream.Upstream{},
		formats: map[string]bool{}, config: &Config{drain: drain, captures: map[string]*variable{}},
	}
	l.http(d)
	l.undefined()
	l.config.upstreams = l.upstreams
	return l.config
}

// http reads the block: first what others refer to, then what every server
// inherits wherever it is written, then the servers.
func (l *loader) http(d *nginxconf.Directive) {
	base := defaults(modern(d.Block.Directives))
	top := &scope{settings: &base, where: inHTTP, seen: map[string]bool{}}
	upstreams := upstream.Reader{Reader: l.Reader, DefaultPort: "80", Kept: true}
	var servers []*nginxconf.Directive
	for _, s := range d.Block.Directives {
		if s.Name.Value == "log_format" && l.Simple(s, 2, -1) {
			l.format(s)
		}
	}
	modernHTTP2 := false
	for _, s := range d.Block.Directives {
		switch s.Name.Value {
		case "log_format":
		case "map":
			l.declare(s)
		case "upstream":
			upstreams.Read(s, l.upstreams)
		case "server":
			servers = append(servers, s)
		case "http2":
			modernHTTP2 = l.Flag(s)
		default:
			if !l.setting(top, s) {
				l.Unknown(s.Name, "http", l.names("map", "upstream", "server", "log_format", "http2"))
			}
		}
	}
	for _, m := range l.maps {
		l.read(m)
	}
	l.loops()
	for _, s := range servers {
		if l.Block(s, 0, 0) {
			l.server(s, &base, modernHTTP2)
		}
	}
	l.sockets()
}

// modern tells whether the file is for an nginx that knows the directive http2
// (1.25.1).
func modern(ds []*nginxconf.Directive) bool {
	return slices.ContainsFunc(ds, func(d *nginxconf.Directive) bool {
		return d.Name.Value == "http2" || d.Block != nil && d.Name.Value == "server" && modern(d.Block.Directives)
	})
}

// names is what a block may hold.
func (l *loader) names(more ...string) []string {
	return append(slices.Collect(maps.Keys(l.settings)), more...)
}

// misplaced is a directive in a block that nginx does not take it in.
func (l *loader) misplaced(w nginxconf.Word, in block) {
	l.Add(directive.Unknown, w.Pos, fmt.Sprintf("%q directive is not allowed here", w.Value), "nginx does not take it in "+in.String(), "move it to another block")
}

// format checks the variables of a log's form; the form itself is the host's.
func (l *loader) format(d *nginxconf.Directive) {
	if name := d.Args[0].Value; l.formats[name] {
		l.Add(directive.Duplicate, d.Args[0].Pos, fmt.Sprintf("duplicate log_format name %q", name), "access_log could mean either", "rename one of them")
	}
	l.formats[d.Args[0].Value] = true
	l.logging = true
	for _, w := range d.Args[1:] {
		if !strings.HasPrefix(w.Value, "escape=") {
			l.text(w)
		}
	}
	l.logging = false
}

// pattern compiles a regular expression, and makes its named groups variables.
func (l *loader) pattern(w nginxconf.Word, expr string) *regexp.Regexp {
	re := mapping.Compile(l.Reader, w, expr)
	if re == nil {
		return nil
	}
	for _, name := range re.SubexpNames() {
		if name == "" {
			continue
		}
		name = strings.ToLower(name)
		v := l.variable(name)
		v.defined = true
		l.config.captures[name] = v
	}
	return re
}

// server reads one server.
func (l *loader) server(d *nginxconf.Directive, inherited *settings, http2 bool) {
	own := &scope{settings: inherited.clone(), where: inServer, seen: map[string]bool{}}
	s := &server{settings: own.settings, named: map[string]*location{}, http2: http2, pos: d.Name.Pos}
	l.current = s
	var listens, locations, steps []*nginxconf.Directive
	for _, c := range d.Block.Directives {
		switch c.Name.Value {
		case "listen":
			if l.Simple(c, 1, -1) {
				listens = append(listens, c)
			}
		case "server_name":
			l.serverName(s, c)
		case "http2":
			if own.seen["http2"] {
				l.Twice(c.Name)
			}
			own.seen["http2"], s.http2 = true, l.Flag(c)
		case "location":
			locations = append(locations, c)
		case "set", "if", "return", "rewrite", "break":
			steps = append(steps, c)
		default:
			if !l.setting(own, c) {
				l.Unknown(c.Name, "server", l.names("listen", "server_name", "location", "set", "if", "return", "rewrite", "break", "http2"))
			}
		}
	}
	if len(s.names) > 0 {
		s.name = s.names[0].text
	} else {
		s.names = []serverName{{}}
	}
	l.pairs(own.settings, d.Name)
	s.root = &location{settings: own.settings, pos: d.Name.Pos}
	s.program = l.program(steps, inServer)
	l.locations(s.root, locations)
	l.checkNamed(s)
	if len(listens) == 0 {
		listens = []*nginxconf.Directive{{Name: d.Name, Args: []nginxconf.Word{{Value: "*:80", Pos: d.Name.Pos}}}}
	}
	for _, c := range listens {
		l.listen(s, c)
	}
}

func (l *loader) checkNamed(s *server) {
	for _, w := range l.namedUses {
		if s.named[w.Value[1:]] == nil {
			l.Warn(directive.Reference, w.Pos, fmt.Sprintf("there is no location %s in this server", w.Value), "nginx answers 500 where it should go there", "add the location, or correct the name")
		}
	}
	l.namedUses = nil
}

func (l *loader) serverName(s *server, d *nginxconf.Directive) {
	if !l.Simple(d, 1, -1) {
		return
	}
	for _, w := range d.Args {
		name := serverName{text: strings.ToLower(w.Value)}
		inner := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(name.text, "*"), "."), ".*")
		switch {
		case strings.HasPrefix(w.Value, "~"):
			expr := w.Value[1:]
			if strings.ToLower(expr) == expr {
				expr = "(?i)" + expr // nginx's are case-insensitive without capitals
			}
			name.pattern = l.pattern(w, expr)
			name.text = w.Value
		case w.Value == "$hostname":
			l.Unsupported(w, "a file must mean the same on every machine", "write the name")
		case w.Value != "" && (inner == "" || strings.Contains(w.Value, "..") || strings.HasPrefix(w.Value, "*") && !strings.HasPrefix(w.Value, "*.")):
			l.Arguments(w, "server name %q is invalid", w.Value)
		case strings.Contains(w.Value, "/"):
			l.Warn(directive.Arguments, w.Pos, fmt.Sprintf("server name %q has suspicious symbols", w.Value), "no client asks for such a name", "write the name alone")
		}
		s.names = append(s.names, name)
	}
}

// sockets settles, once every server is read, who is the default behind each
// address, and who has which name.
func (l *loader) sockets() {
	for _, k := range l.config.sockets {
		for _, s := range k.servers {
			k.names.put(s, func(name string) {
				l.Warn(directive.Duplicate, s.pos, fmt.Sprintf("conflicting server name %q on %s, ignored", name, k.address), "nginx asks the server that has it first", "remove the name from one of them")
			})
			if k.ssl {
				l.certified(k, s)
			}
		}
	}
}

// certified checks that TLS can be ended, and gathers files.
func (l *loader) certified(k *socket, s *server) {
	t := &s.settings.tls
	first := &k.servers[0].settings.tls
	if len(t.certificates) == 0 && !t.reject && (s == k.servers[0] || first.reject || len(first.certificates) == 0) {
		l.Add(directive.Incomplete, s.pos, fmt.Sprintf(`no "ssl_certificate" is defined for the "listen ... ssl" of %s`, k.address), "TLS cannot be ended without", "add ssl_certificate and ssl_certificate_key")
	}
	for _, c := range t.certificates {
		l.config.pairs = certs.Add(l.config.pairs, certs.Served{Pair: certs.Pair{Certificate: c.cert, Key: c.key}, Names: s.single()})
		for _, f := range []string{c.cert, c.key} {
			if !slices.Contains(l.config.files, f) {
				l.config.files = append(l.config.files, f)
			}
		}
	}
}

// trusted gathers a file of CAs.
func (l *loader) trusted(s *passing, at nginxconf.Word) {
	switch f := s.tls.trusted; {
	case !s.tls.verify:
	case f == "":
		l.Add(directive.Incomplete, at.Pos, "no trusted certificate for the upstream to be verified by", "nginx would not start", "add proxy_ssl_trusted_certificate or grpc_ssl_trusted_certificate")
	case !slices.Contains(l.config.roots, f):
		l.config.roots = append(l.config.roots, f)
		if !slices.Contains(l.config.files, f) {
			l.config.files = append(l.config.files, f)
		}
	}
}

// longest orders locations as prefixes are compared.
func longest(a, b *location) int { return cmp.Compare(len(b.name), len(a.name)) }
