// Package haproxy reads haproxy.cfg and runs what it says: sections in mode tcp
// on the balancer, those in mode http on the HTTP engine, with the balancer's
// servers. It owns the meaning of HAProxy 2.6's keywords; syntax is
// internal/haproxyconf's, moving bytes is runtime/balancer's, carrying requests
// is runtime/httpengine's. Its law: a
// keyword does here what it does in HAProxy, or it is refused with its place,
// before any socket opens. A keyword that is accepted without effect is one
// that changes nothing on the wire, and stands in a list that says why.
package haproxy

import (
	"slices"

	"kasgen/internal/diag"
	"kasgen/internal/haproxyconf"
	"kasgen/runtime/balancer"
	"kasgen/runtime/certs"
)

// Finding codes of this package. Syntax has codes of its own.
const (
	codeUnknown     = "KAS2301" // a keyword that this section does not have
	codeUnsupported = "KAS2302" // HAProxy has it, the embedded runtime not
	codeArguments   = "KAS2303" // too few, too many or wrong arguments
	codeReference   = "KAS2304" // a backend, ACL or defaults that does not exist
	codeDuplicate   = "KAS2305" // a name twice
	codeIncomplete  = "KAS2306" // a section that cannot work
	codeTimeouts    = "KAS2307" // a limit that is missing (warning)
	codeMode        = "KAS2308" // a frontend and its backend are in different modes
)

// Config is a haproxy.cfg that can run.
type Config struct {
	balancer *balancer.Config
	web      []*webFrontend
	shared   []*backend // in mode http
	binds    []string
	files    []string
	pairs    []certs.Served
	warnings diag.Findings
}

// Load reads data, the text of file. It touches nothing. The error, where
// there is one, is a diag.Findings with every fault.
func Load(file string, data []byte) (*Config, error) {
	parsed, err := haproxyconf.Parse(file, data)
	if err != nil {
		return nil, err
	}
	l := newLoader(file)
	c := l.load(parsed)
	l.fs.Sort()
	if err := l.fs.Err(); err != nil {
		return nil, err
	}
	c.warnings = l.fs
	return c, nil
}

// Binds is the addresses that New listens on, in the file's order, as
// Host.Listen gets them: "*:443" and ":443" are 0.0.0.0:443, as in HAProxy.
func (c *Config) Binds() []string { return slices.Clone(c.binds) }

// Files is the certificates that New reads, without repetition.
func (c *Config) Files() []string { return slices.Clone(c.files) }

// AnyOf are kas's names: for one of them each certificate has to be.
func (c *Config) AnyOf(names []string) {
	for i := range c.pairs {
		c.pairs[i].AnyOf = names
	}
	c.balancer.Served = c.pairs
}

// Pairs is the certificates that clients are shown, with their keys. The file
// does not say for which names, AnyOf does.
func (c *Config) Pairs() []certs.Served { return slices.Clone(c.pairs) }

// Warnings is what the file could say better.
func (c *Config) Warnings() diag.Findings { return slices.Clone(c.warnings) }
