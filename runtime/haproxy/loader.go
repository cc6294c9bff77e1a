package haproxy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"kasgen/internal/diag"
	"kasgen/internal/haproxyconf"
	"kasgen/runtime/balancer"
	"kasgen/runtime/certs"
)

// loader turns sections into a balancer.Config, gathering findings.
type loader struct {
	file     string
	fs       diag.Findings
	defaults map[string]*proxy
	current  *proxy // the last defaults section, which applies to what follows
	proxies  []*proxy
	names    map[string]*proxy
	config   balancer.Config
	web      []*webFrontend
	shared   []*backend
	binds    []string
	streams  uint32 // tune.h2.max-concurrent-streams
	files    []string
	pairs    []certs.Served
}

func newLoader(file string) *loader {
	return &loader{file: file, defaults: map[string]*proxy{}, names: map[string]*proxy{}, current: newProxy("defaults"), streams: defaultStreams}
}

func (l *loader) add(code string, pos diag.Pos, what, why, fix string) {
	l.fs.Add(diag.Finding{Code: code, Pos: pos, What: what, Why: why, Fix: fix})
}

// unknown refuses a keyword, naming the nearest that there is.
func (l *loader) unknown(w haproxyconf.Word, where string, known []string) {
	fix := "remove it"
	if n := diag.Nearest(w.Value, known); n != "" {
		fix = fmt.Sprintf("did you mean %q?", n)
	}
	l.add(codeUnknown, w.Pos, fmt.Sprintf("unknown keyword %q in %s", w.Value, where),
		"the embedded balancer runs only what it knows, and never skips a line", fix)
}

func (l *loader) unsupported(w haproxyconf.Word, what, why, fix string) {
	l.add(codeUnsupported, w.Pos, what+" is not supported", why, fix)
}

func (l *loader) arguments(w haproxyconf.Word, format string, args ...any) {
	l.add(codeArguments, w.Pos, fmt.Sprintf(format, args...), "HAProxy would refuse the line", "see HAProxy's configuration manual for "+w.Value)
}

// count checks the number of arguments behind the line's first n words.
func (l *loader) count(line *haproxyconf.Line, n, least, most int) bool {
	got := len(line.Words) - n
	switch {
	case got < least:
		l.arguments(line.Words[n-1], "%s wants at least %d argument(s), there are %d", strings.Join(line.Values()[:n], " "), least, got)
	case most >= 0 && got > most:
		l.arguments(line.Words[n+most], "%s wants at most %d argument(s), there are %d", strings.Join(line.Values()[:n], " "), most, got)
	default:
		return true
	}
	return false
}

func (l *loader) load(f *haproxyconf.File) *Config {
	for _, s := range f.Sections {
		l.section(s)
	}
	l.finish()
	if len(l.config.Frontends)+len(l.web) == 0 && !l.fs.Failed() {
		l.add(codeIncomplete, diag.Pos{File: l.file}, "no frontend and no listen section", "HAProxy does not start without a listener", "add a frontend with a bind line")
	}
	return &Config{balancer: &l.config, web: l.web, shared: l.shared, binds: l.binds, files: l.files, pairs: l.pairs}
}

func (l *loader) section(s *haproxyconf.Section) {
	switch s.Keyword() {
	case "global":
		for _, line := range s.Lines {
			l.global(line)
		}
	case "defaults":
		l.defaultsSection(s)
	case "frontend", "backend", "listen":
		l.proxySection(s)
	default:
		l.unsupported(s.Header.Words[0], "section "+s.Keyword(), "the embedded balancer has frontends and backends only", "remove the section, or run HAProxy itself")
	}
}

func (l *loader) defaultsSection(s *haproxyconf.Section) {
	base := newProxy("defaults")
	words := s.Header.Words[1:]
	if len(words) > 0 {
		base.name = words[0].Value
		words = words[1:]
	}
	if len(words) > 0 {
		base = l.from(words, base)
	}
	base.modeOf(s.Lines)
	for _, line := range s.Lines {
		l.proxyLine(base, line)
	}
	l.current = base
	if base.name != "" {
		l.defaults[base.name] = base
	}
}

// from copies the named defaults into p: `from NAME`.
func (l *loader) from(words []haproxyconf.Word, p *proxy) *proxy {
	if words[0].Value != "from" || len(words) != 2 {
		l.arguments(words[0], "unexpected %q in a section header", words[0].Value)
		return p
	}
	base := l.defaults[words[1].Value]
	if base == nil {
		l.reference(words[1], "defaults section", names(l.defaults))
		return p
	}
	return base.derive(p.kind, p.name)
}

func (l *loader) reference(w haproxyconf.Word, kind string, known []string) {
	fix := "define it"
	if n := diag.Nearest(w.Value, known); n != "" {
		fix = fmt.Sprintf("did you mean %q?", n)
	}
	l.add(codeReference, w.Pos, fmt.Sprintf("there is no %s %q", kind, w.Value), "the name is not defined in this file", fix)
}

func (l *loader) proxySection(s *haproxyconf.Section) {
	words := s.Header.Words
	if len(words) < 2 {
		l.arguments(words[0], "a %s has a name", words[0].Value)
		return
	}
	p := l.current.derive(words[0].Value, words[1].Value)
	if len(words) > 2 {
		p = l.from(words[2:], p)
	}
	p.header = words[1]
	if other := l.names[p.name]; other != nil && (other.isFrontend() && p.isFrontend() || other.isBackend() && p.isBackend()) {
		l.add(codeDuplicate, words[1].Pos, fmt.Sprintf("%q is already defined at line %d", p.name, other.header.Pos.Line), "a route to it could mean either", "rename one of them")
	}
	p.modeOf(s.Lines)
	for _, line := range s.Lines {
		l.proxyLine(p, line)
	}
	l.proxies = append(l.proxies, p)
	if other := l.names[p.name]; other == nil || p.isBackend() {
		l.names[p.name] = p
	}
}

// global reads one line of the global section.
func (l *loader) global(line *haproxyconf.Line) {
	w := line.Words[0]
	switch w.Value {
	case "maxconn":
		if l.count(line, 1, 1, 1) {
			l.config.MaxConn = l.number(line.Words[1], 0, 1<<30)
		}
	case "hard-stop-after":
		if l.count(line, 1, 1, 1) {
			l.config.Drain = l.duration(line.Words[1])
		}
	case "tune.h2.max-concurrent-streams":
		if l.count(line, 1, 1, 1) {
			l.streams = uint32(l.number(line.Words[1], 1, 1<<31-1))
		}
	case "log", "log-tag", "log-send-hostname":
		// Where HAProxy's own log goes; the embedded one logs to its host.
	case "nbthread", "nbproc", "cpu-map", "ulimit-n", "fd-hard-limit":
		// Go uses every core and raises the descriptor limit by itself.
	case "user", "group", "uid", "gid", "chroot", "daemon", "master-worker", "pidfile", "stats", "description", "node":
		// How the process is started and looked after, not what it carries.
	case "ssl-default-bind-options", "ssl-default-bind-ciphers", "ssl-default-bind-ciphersuites", "ssl-default-server-options",
		"ssl-default-server-ciphers", "ssl-default-server-ciphersuites", "tune.ssl.default-dh-param":
		l.unsupported(w, w.Value, "it would change TLS, which Go's own suites decide here", "write ssl-min-ver on the bind line")
	default:
		l.unknown(w, "the global section", []string{"maxconn", "hard-stop-after", "tune.h2.max-concurrent-streams", "log", "nbthread", "user", "group", "chroot", "daemon", "stats", "pidfile", "ulimit-n"})
	}
}

func (l *loader) number(w haproxyconf.Word, least, most int) int {
	n, ok := 0, w.Value != ""
	for _, c := range w.Value {
		if c < '0' || c > '9' || n > most {
			ok = false
			break
		}
		n = n*10 + int(c-'0')
	}
	if !ok || n < least || n > most {
		l.arguments(w, "%q is not a number from %d to %d", w.Value, least, most)
		return least
	}
	return n
}

// duration is HAProxy's: a number with us, ms, s, m, h or d; without a unit
// it is milliseconds.
func (l *loader) duration(w haproxyconf.Word) time.Duration {
	d, err := parseDuration(w.Value)
	if err != nil {
		l.arguments(w, "%q is not a time: %v", w.Value, err)
	}
	return d
}

func names[V any](m map[string]V) []string {
	var out []string
	for n := range m {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}
