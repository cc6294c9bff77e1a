// Package nginx reads nginx.conf and runs it: stream{} on the balancer, http{}
// by package vhost. It owns the meaning of nginx 1.22's directives; syntax is
// internal/nginxconf's, moving bytes is runtime/balancer's and
// runtime/httpengine's. Its law: a directive does here what it does in nginx,
// defaults included, or it is refused with its place, before any socket opens.
// A directive that is accepted without effect changes nothing on the wire, and
// stands in a list that says why.
package nginx

import (
	"context"
	"fmt"
	"slices"
	"time"

	"kasgen/internal/diag"
	"kasgen/internal/nginxconf"
	"kasgen/runtime/balancer"
	"kasgen/runtime/certs"
	"kasgen/runtime/host"
	"kasgen/runtime/nginx/vhost"
)

// Config is an nginx.conf that can run.
type Config struct {
	balancer *balancer.Config // nil if there is no stream{}
	http     *vhost.Config    // nil if there is no http{}
	files    []string
	pairs    []certs.Served
	warnings diag.Findings

	drain       time.Duration
	connections int
}

// Load reads data, the text of file, and through source what it includes. It
// touches nothing else. The error, where there is one, is a diag.Findings with
// every fault.
func Load(file string, data []byte, source nginxconf.Source) (*Config, error) {
	parsed, err := nginxconf.Parse(file, data)
	if err != nil {
		return nil, err
	}
	// What could not be included is told with what else is wrong.
	parsed, found := parsed.Expand(source)
	return load(parsed, found)
}

// LoadFile is Load of a file that was read, its includes expanded.
func LoadFile(f *nginxconf.File) (*Config, error) { return load(f, nil) }

func load(f *nginxconf.File, found diag.Findings) (*Config, error) {
	l := &loader{}
	l.Findings = found
	c := l.load(f)
	l.Findings.Sort()
	l.Findings = slices.Compact(l.Findings) // a word that is read twice is at fault once
	if err := l.Findings.Err(); err != nil {
		return nil, err
	}
	c.warnings = l.Findings
	return c, nil
}

// Binds is the addresses that New listens on, in the file's order, as
// Host.Listen gets them: a port alone is 0.0.0.0 with that port.
func (c *Config) Binds() []string {
	var out []string
	if c.balancer != nil {
		for _, f := range c.balancer.Frontends {
			for _, b := range f.Binds {
				out = append(out, b.Address)
			}
		}
	}
	if c.http != nil {
		out = append(out, c.http.Binds()...)
	}
	return out
}

// Cleartext is the first address of http{} that takes no TLS.
func (c *Config) Cleartext() (string, bool) {
	if c.http == nil {
		return "", false
	}
	return c.http.Cleartext()
}

// AnyOf are kas's names: for one of them each certificate has to be of which the
// file says no names.
func (c *Config) AnyOf(names []string) {
	for i := range c.pairs {
		c.pairs[i].AnyOf = names
	}
	if c.balancer != nil {
		c.balancer.Served = c.pairs
	}
	if c.http != nil {
		c.http.AnyOf(names)
	}
}

// Pairs is the certificates that clients are shown, with their keys, and the
// names that http{} shows them for.
func (c *Config) Pairs() []certs.Served {
	pairs := slices.Clone(c.pairs)
	if c.http != nil {
		for _, p := range c.http.Pairs() {
			pairs = certs.Add(pairs, p)
		}
	}
	return pairs
}

// Files is the certificates and keys that New reads, without repetition.
func (c *Config) Files() []string {
	files := slices.Clone(c.files)
	if c.http != nil {
		for _, f := range c.http.Files() {
			if !slices.Contains(files, f) {
				files = append(files, f)
			}
		}
	}
	return files
}

// Limits are how many connections the file allows at once, those to upstreams
// not counted, 0 if it does not say, and how long streams live on at the end, 0
// if as long as they like. It is what nginx allows to one worker: here there is
// one process.
func (c *Config) Limits() (connections int, drain time.Duration) { return c.connections / 2, c.drain }

// Bound is how long streams live on at the end if the file does not say.
func (c *Config) Bound(drain time.Duration) {
	if c.drain != 0 {
		return
	}
	c.drain = drain
	if c.balancer != nil {
		c.balancer.Drain = drain
	}
	if c.http != nil {
		c.http.Bound(drain)
	}
}

// Warnings is what the file could say better.
func (c *Config) Warnings() diag.Findings { return slices.Clone(c.warnings) }

// New reads the certificates and opens the listeners. A Config serves once.
func (c *Config) New(ctx context.Context, h *host.Host) (_ *Server, err error) {
	s := &Server{}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if c.balancer != nil {
		if s.balancer, err = balancer.New(ctx, c.balancer, h); err != nil {
			return nil, fmt.Errorf("starting nginx: %w", err)
		}
	}
	if c.http != nil {
		if s.http, err = c.http.New(ctx, h); err != nil {
			return nil, fmt.Errorf("starting nginx: %w", err)
		}
	}
	return s, nil
}
