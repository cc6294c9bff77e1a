// Package provision is the role that runs a certs.yaml: it obtains the
// certificates that the file names, writes them for the programs that end TLS,
// and tells how they fare. It knows no listener but its own, and nothing of who
// ends TLS. Its law: it starts whatever the CA does, and what it has written is
// never replaced by something worse.
package provision

import (
	"context"
	"fmt"
	"iter"
	"path"
	"slices"
	"time"

	"kasgen/internal/certsconf"
	"kasgen/runtime/certs"
	"kasgen/runtime/certs/acme"
	"kasgen/runtime/host"
)

// Config is a certs.yaml that can be run.
type Config struct {
	file *certsconf.File
}

// Load reads and checks a file. It opens nothing. The error, where there is
// one, is a diag.Findings.
func Load(name string, data []byte) (*Config, error) {
	f, err := certsconf.Read(name, data)
	if err != nil {
		return nil, err
	}
	return &Config{file: f}, nil
}

// Open is what the file is about as it lies in the cache. Nothing is served, and
// nobody is asked. done gives back what it has open.
func (c *Config) Open(ctx context.Context, h *host.Host) (src *acme.Source, done func(), err error) {
	client, err := caClient(h, c.file.ACME.CAFile)
	if err != nil {
		return nil, nil, err
	}
	if src, err = c.obtain(ctx, h, client); err != nil {
		return nil, nil, err
	}
	return src, client.CloseIdleConnections, nil
}

// Rehearsal is the same with a cache and a CA's CA of its own, and nothing of it
// in a Secret.
func (c *Config) Rehearsal(cache, caFile string) *Config {
	file, a := *c.file, *c.file.ACME
	a.CAFile, a.Cache = caFile, certsconf.Cache{Directory: cache, KeyFile: a.Cache.KeyFile}
	file.ACME = &a
	return &Config{file: &file}
}

// Challenge is how the CA is shown that a name is ours.
func (c *Config) Challenge() certsconf.Challenge { return c.file.ACME.Challenge }

// Binds are the addresses that New opens.
func (c *Config) Binds() []string { return []string{c.file.Observability.Listen} }

// Files are what New reads: keys, and the CA of the CA's own listener.
func (c *Config) Files() []string {
	a := c.file.ACME
	files := []string{a.CAFile, a.Cache.KeyFile}
	if a.ExternalAccount != nil {
		files = append(files, a.ExternalAccount.KeyFile)
	}
	return slices.DeleteFunc(files, func(path string) bool { return path == "" })
}

// Written are the files that certificates and keys are written to.
func (c *Config) Written() []string {
	var files []string
	for _, cert := range c.file.Certificates {
		files = append(files, cert.CertificateFile, cert.KeyFile)
		if cert.CombinedFile != "" {
			files = append(files, cert.CombinedFile)
		}
	}
	return files
}

// Certificates are where each certificate is written, and its names; its first
// is its ID.
func (c *Config) Certificates() []Written {
	var all []Written
	for _, cert := range c.file.Certificates {
		all = append(all, Written{Names: cert.Names,
			Output: certs.Output{ID: cert.Names[0], Certificate: cert.CertificateFile, Key: cert.KeyFile, Combined: cert.CombinedFile}})
	}
	return all
}

// Written is a certificate of the file.
type Written struct {
	certs.Output
	Names []string
}

// Pairs are the files that certificates are written to, in each form.
func (c *Config) Pairs() []certs.Served {
	var all []certs.Served
	for _, cert := range c.file.Certificates {
		all = append(all, certs.Served{Pair: certs.Pair{Certificate: cert.CertificateFile, Key: cert.KeyFile}, Names: cert.Names})
		if cert.CombinedFile != "" {
			all = append(all, certs.Served{Pair: certs.Pair{Certificate: cert.CombinedFile, Key: cert.CombinedFile}, Names: cert.Names})
		}
	}
	return all
}

// CacheDirectory is where replicas share what they obtain; empty: elsewhere.
func (c *Config) CacheDirectory() string { return c.file.ACME.Cache.Directory }

// Directories are where is written.
func (c *Config) Directories() []string {
	dirs := []string{c.file.ACME.Cache.Directory, c.file.ACME.Webroot}
	for _, file := range c.Written() {
		dirs = append(dirs, path.Dir(file))
	}
	slices.Sort(dirs)
	return slices.DeleteFunc(slices.Compact(dirs), func(dir string) bool { return dir == "" })
}

// Names are all names that certificates are obtained for, by their fields.
func (c *Config) Names() iter.Seq2[string, string] {
	return func(yield func(field, name string) bool) {
		for i, cert := range c.file.Certificates {
			for j, name := range cert.Names {
				if !yield(fmt.Sprintf("certificates[%d].names[%d]", i, j), name) {
					return
				}
			}
		}
	}
}

// Directory is the CA's URL.
func (c *Config) Directory() string { return c.file.ACME.Directory }

// ExternalAccount is what the CA knows us by; empty: nothing.
func (c *Config) ExternalAccount() (keyID, keyFile string) {
	if e := c.file.ACME.ExternalAccount; e != nil {
		return e.KeyID, e.KeyFile
	}
	return "", ""
}

// Drain is how long streams live on at a stop of who ends TLS with the files.
func (c *Config) Drain() time.Duration { return time.Duration(c.file.Drain) }

// Limits are those of a role that serves nobody's streams.
func (c *Config) Limits() (connections int, drain time.Duration) { return 0, time.Second }
