package nginx

import (
	"fmt"
	"slices"
	"strconv"

	"kasgen/internal/nginxconf"
	"kasgen/runtime/balancer"
	"kasgen/runtime/certs"
	"kasgen/runtime/nginx/directive"
	"kasgen/runtime/nginx/upstream"
	"kasgen/runtime/nginx/vhost"
)

// loader turns directives into a balancer.Config, gathering findings.
type loader struct {
	directive.Reader
	config    balancer.Config
	files     []string
	pairs     []certs.Served
	maps      map[string]*streamMap
	upstreams map[string]*upstream.Upstream

	connections int // of one worker
}

func (l *loader) load(f *nginxconf.File) *Config {
	seen := map[string]bool{}
	for _, d := range f.Directives {
		name := d.Name.Value
		if seen[name] && name != "load_module" && name != "error_log" {
			l.Add(directive.Duplicate, d.Name.Pos, fmt.Sprintf("%q is duplicate", name), "nginx takes it once", "remove one of them")
		}
		seen[name] = true
		l.main(d)
	}
	if !seen["events"] {
		l.Add(directive.Incomplete, f.End, `no "events" block`, "nginx does not start without events", "add the block")
	}
	if !seen["stream"] && !seen["http"] {
		l.Add(directive.Incomplete, f.End, `no "stream" and no "http" block`, "the embedded runtime has nothing to do without one of them", "add a block")
	}
	// After all of main is read: it says how long both drain.
	c := &Config{drain: l.config.Drain, connections: l.connections}
	for _, d := range f.Directives {
		switch d.Name.Value {
		case "stream":
			if l.Block(d, 0, 0) {
				l.stream(d)
				c.balancer, c.files, c.pairs = &l.config, l.files, l.pairs
			}
		case "http":
			if l.Block(d, 0, 0) {
				c.http = vhost.Load(&l.Reader, d, l.config.Drain)
			}
		}
	}
	l.shared(c)
	return c
}

// shared refuses an address that stream{} and http{} both listen on.
func (l *loader) shared(c *Config) {
	if c.balancer == nil || c.http == nil {
		return
	}
	for _, f := range c.balancer.Frontends {
		for _, b := range f.Binds {
			if at, ok := c.http.Bind(b.Address); ok {
				l.Add(directive.Duplicate, at, fmt.Sprintf("%s is an address of stream{} and of http{}", b.Address), "only one of them can listen on it", "change one of the addresses")
			}
		}
	}
}

var mainDirectives = [...]string{
	"user", "worker_processes", "worker_rlimit_nofile", "worker_shutdown_timeout", "pid", "error_log", "load_module", "events", "stream", "http",
}

// main reads a directive outside every block.
func (l *loader) main(d *nginxconf.Directive) {
	switch d.Name.Value {
	case "user", "worker_processes", "worker_cpu_affinity", "worker_priority", "worker_rlimit_nofile", "worker_rlimit_core", "pid", "lock_file",
		"daemon", "master_process", "pcre_jit", "timer_resolution":
		// How the process is started and looked after: the embedded one is
		// started by somebody else, uses every core, and carries the same bytes.
		l.Simple(d, 1, -1)
	case "error_log", "load_module":
		// The log goes to the host's; the stream module is built in.
		l.Simple(d, 1, 2)
	case "worker_shutdown_timeout":
		if l.Simple(d, 1, 1) {
			l.config.Drain = l.Duration(d.Args[0])
		}
	case "events":
		if l.Block(d, 0, 0) {
			for _, e := range d.Block.Directives {
				l.event(e)
			}
		}
	case "stream", "http":
		// Read when all of main is known.
	default:
		l.Unknown(d.Name, "the main context", mainDirectives[:])
	}
}

// event reads a directive of events{}: they say how nginx waits for sockets,
// which Go's runtime does in its own way.
func (l *loader) event(d *nginxconf.Directive) {
	known := []string{"worker_connections", "use", "multi_accept", "accept_mutex", "accept_mutex_delay"}
	if !slices.Contains(known, d.Name.Value) {
		l.Unknown(d.Name, "events", known)
		return
	}
	if l.Simple(d, 1, 1) && d.Name.Value == "worker_connections" {
		if n, err := strconv.Atoi(d.Args[0].Value); err == nil {
			l.connections = n
		}
	}
}
