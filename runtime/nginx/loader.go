package nginx

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"kasgen/internal/diag"
	"kasgen/internal/nginxconf"
	"kasgen/runtime/balancer"
)

// loader turns directives into a balancer.Config, gathering findings.
type loader struct {
	file      string
	fs        diag.Findings
	config    balancer.Config
	files     []string
	maps      map[string]*mapping
	upstreams map[string]*upstream
}

func (l *loader) add(code string, pos diag.Pos, what, why, fix string) {
	l.fs.Add(diag.Finding{Code: code, Pos: pos, What: what, Why: why, Fix: fix})
}

func (l *loader) unknown(w nginxconf.Word, where string, known []string) {
	fix := "remove it"
	if n := diag.Nearest(w.Value, known); n != "" {
		fix = fmt.Sprintf("did you mean %q?", n)
	}
	l.add(codeUnknown, w.Pos, fmt.Sprintf("unknown directive or parameter %q in %s", w.Value, where),
		"the embedded runtime runs only what it knows, and never skips a line", fix)
}

func (l *loader) unsupported(w nginxconf.Word, why, fix string) {
	l.add(codeUnsupported, w.Pos, fmt.Sprintf("%q is not supported", w.Value), why, fix)
}

func (l *loader) arguments(w nginxconf.Word, format string, args ...any) {
	l.add(codeArguments, w.Pos, fmt.Sprintf(format, args...), "nginx would refuse the line", "see nginx's documentation of "+w.Value)
}

// simple checks that d has no block and from least to most arguments; most -1
// is any number.
func (l *loader) simple(d *nginxconf.Directive, least, most int) bool {
	n := len(d.Args)
	switch {
	case d.Block != nil:
		l.arguments(d.Name, "directive %q takes no block", d.Name.Value)
	case n < least || most >= 0 && n > most:
		l.arguments(d.Name, "invalid number of arguments in %q: %d", d.Name.Value, n)
	default:
		return true
	}
	return false
}

// block checks that d has a block and n arguments.
func (l *loader) block(d *nginxconf.Directive, n int) bool {
	switch {
	case d.Block == nil:
		l.arguments(d.Name, "directive %q has no opening \"{\"", d.Name.Value)
	case len(d.Args) != n:
		l.arguments(d.Name, "invalid number of arguments in %q: %d", d.Name.Value, len(d.Args))
	default:
		return true
	}
	return false
}

func (l *loader) load(f *nginxconf.File) *Config {
	seen := map[string]bool{}
	for _, d := range f.Directives {
		name := d.Name.Value
		if seen[name] && name != "load_module" && name != "error_log" {
			l.add(codeDuplicate, d.Name.Pos, fmt.Sprintf("%q is duplicate", name), "nginx takes it once", "remove one of them")
		}
		seen[name] = true
		l.main(d)
	}
	for _, needed := range []string{"events", "stream"} {
		if !seen[needed] {
			l.add(codeIncomplete, f.End, fmt.Sprintf("no %q block", needed), "nginx does not start without events, and the embedded runtime has nothing to do without stream", "add the block")
		}
	}
	return &Config{balancer: &l.config, files: l.files}
}

var mainDirectives = [...]string{
	"user", "worker_processes", "worker_rlimit_nofile", "worker_shutdown_timeout", "pid", "error_log", "load_module", "events", "stream",
}

// main reads a directive outside every block.
func (l *loader) main(d *nginxconf.Directive) {
	switch d.Name.Value {
	case "user", "worker_processes", "worker_cpu_affinity", "worker_priority", "worker_rlimit_nofile", "worker_rlimit_core", "pid", "lock_file",
		"daemon", "master_process", "pcre_jit", "timer_resolution":
		// How the process is started and looked after: the embedded one is
		// started by somebody else, uses every core, and carries the same bytes.
		l.simple(d, 1, -1)
	case "error_log", "load_module":
		// The log goes to the host's; the stream module is built in.
		l.simple(d, 1, 2)
	case "worker_shutdown_timeout":
		if l.simple(d, 1, 1) {
			l.config.Drain = l.duration(d.Args[0])
		}
	case "events":
		if l.block(d, 0) {
			for _, e := range d.Block.Directives {
				l.event(e)
			}
		}
	case "stream":
		if l.block(d, 0) {
			l.stream(d)
		}
	case "http":
		l.unsupported(d.Name, "the embedded runtime does not read http{} yet", "run nginx itself for this file, or keep stream{} in a file of its own")
	case "include":
		l.unsupported(d.Name, "a file must mean the same wherever it is read", "write the included lines in this file")
	default:
		l.unknown(d.Name, "the main context", mainDirectives[:])
	}
}

// event reads a directive of events{}: they say how nginx waits for sockets,
// which Go's runtime does in its own way.
func (l *loader) event(d *nginxconf.Directive) {
	known := []string{"worker_connections", "use", "multi_accept", "accept_mutex", "accept_mutex_delay"}
	if !slices.Contains(known, d.Name.Value) {
		l.unknown(d.Name, "events", known)
		return
	}
	l.simple(d, 1, 1)
}

func (l *loader) number(w nginxconf.Word, text string, least, most int) int {
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		l.arguments(w, "%q is not a number from %d to %d", text, least, most)
		return least
	}
	return n
}

func (l *loader) flag(d *nginxconf.Directive) bool {
	if !l.simple(d, 1, 1) {
		return false
	}
	switch d.Args[0].Value {
	case "on":
		return true
	case "off":
	default:
		l.arguments(d.Args[0], "%q is not on or off", d.Args[0].Value)
	}
	return false
}

func (l *loader) duration(w nginxconf.Word) time.Duration {
	d, err := parseDuration(w.Value)
	if err != nil {
		l.arguments(w, "%q is not a time: %v", w.Value, err)
	}
	return d
}
