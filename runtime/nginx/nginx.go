// Package nginx reads nginx.conf and runs its stream{} block on the balancer.
// It owns the meaning of nginx 1.22's directives; syntax is
// internal/nginxconf's, moving bytes is runtime/balancer's. Its law: a
// directive does here what it does in nginx, defaults included, or it is
// refused with its place, before any socket opens. A directive that is
// accepted without effect changes nothing on the wire, and stands in a list
// that says why.
package nginx

import (
	"context"
	"fmt"
	"slices"

	"kasgen/internal/diag"
	"kasgen/internal/nginxconf"
	"kasgen/runtime/balancer"
	"kasgen/runtime/host"
)

// Finding codes of this package. Syntax has codes of its own.
const (
	codeUnknown     = "KAS2401" // a directive or parameter that nginx or this runtime does not have there
	codeUnsupported = "KAS2402" // nginx has it, the embedded runtime not
	codeArguments   = "KAS2403" // too few, too many or wrong arguments
	codeReference   = "KAS2404" // a variable or an upstream that does not exist
	codeDuplicate   = "KAS2405" // a name, address or directive twice
	codeIncomplete  = "KAS2406" // a block that cannot work
)

// Config is an nginx.conf that can run.
type Config struct {
	balancer *balancer.Config
	files    []string
	warnings diag.Findings
}

// Server is the running balancer.
type Server = balancer.Server

// Load reads data, the text of file. It touches nothing: no include is
// followed. The error, where there is one, is a diag.Findings with every
// fault.
func Load(file string, data []byte) (*Config, error) {
	parsed, err := nginxconf.Parse(file, data)
	if err != nil {
		return nil, err
	}
	l := &loader{file: file}
	c := l.load(parsed)
	l.fs.Sort()
	l.fs = slices.Compact(l.fs) // a word that is read twice is at fault once
	if err := l.fs.Err(); err != nil {
		return nil, err
	}
	c.warnings = l.fs
	return c, nil
}

// Binds is the addresses that New listens on, in the file's order, as
// Host.Listen gets them: a port alone is 0.0.0.0 with that port.
func (c *Config) Binds() []string {
	var out []string
	for _, f := range c.balancer.Frontends {
		for _, b := range f.Binds {
			out = append(out, b.Address)
		}
	}
	return out
}

// Files is the certificates and keys that New reads, without repetition.
func (c *Config) Files() []string { return slices.Clone(c.files) }

// Warnings is what the file could say better.
func (c *Config) Warnings() diag.Findings { return slices.Clone(c.warnings) }

// New reads the certificates and opens the listeners. A Config serves once.
func (c *Config) New(ctx context.Context, h *host.Host) (*Server, error) {
	s, err := balancer.New(ctx, c.balancer, h)
	if err != nil {
		return nil, fmt.Errorf("starting nginx: %w", err)
	}
	return s, nil
}
