// Package kas is GitLab's agent server, configured by GitLab's own
// kas-config.yaml: agents over WebSocket and gRPC, their reverse tunnels, the
// Kubernetes API proxy, and observability. It gets a file and a host and knows
// neither spec nor topology nor who stands in front. Its law: a section of the
// file is honoured or refused, never skipped.
package kas

import (
	"fmt"
	"slices"

	"kasgen/internal/diag"
	"kasgen/internal/kasconf"
	"kasgen/runtime/certs"
)

// Config is a kas-config.yaml that can be run.
type Config struct {
	file     *kasconf.File // with every default
	set      *kasconf.File // as it was written
	source   kasconf.Source
	memory   bool
	extra    []byte // what config.command has added
	warnings diag.Findings
}

// Option changes how a file is understood.
type Option func(*Config)

// TunnelsInMemory keeps tunnels in memory though the file has a section redis.
func TunnelsInMemory() Option { return func(c *Config) { c.memory = true } }

// Load reads and checks a file. It opens and runs nothing; see Complete. The
// error, where there is one, is a diag.Findings.
func Load(name string, data []byte, options ...Option) (*Config, error) {
	c := &Config{source: kasconf.Source{Name: name, Data: data}}
	for _, o := range options {
		o(c)
	}
	if err := c.load(c.source); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Config) load(sources ...kasconf.Source) error {
	f, places, warnings, err := kasconf.ReadPlaced(sources...)
	if err != nil {
		return err
	}
	no := refused(f, places, c.memory)
	fs := slices.Concat(warnings, no, unused(f, places, no))
	fs.Sort()
	if err := fs.Err(); err != nil {
		return err
	}
	c.set, c.file, c.warnings = f, f.WithDefaults(), fs
	return nil
}

// Warnings say what of the file has no effect here.
func (c *Config) Warnings() diag.Findings { return c.warnings }

// Binds are the addresses that New opens.
func (c *Config) Binds() []string {
	binds := []string{c.file.Agent.Listen.Address, c.file.Observability.Listen.Address}
	if k := c.file.Agent.KubernetesAPI; k != nil {
		binds = append(binds, k.Listen.Address)
	}
	if a := c.file.API; a != nil && a.Listen != nil {
		binds = append(binds, a.Listen.Address)
	}
	if p := c.file.PrivateAPI; p != nil && p.Listen != nil {
		binds = append(binds, p.Listen.Address)
	}
	return binds
}

// Files are the secrets and certificates that New reads.
func (c *Config) Files() []string {
	var files []string
	add := func(names ...string) {
		for _, n := range names {
			if n != "" {
				files = append(files, n)
			}
		}
	}
	add(c.file.Gitlab.AuthenticationSecretFile, c.file.Gitlab.CACertificateFile, c.file.Agent.Listen.CertificateFile, c.file.Agent.Listen.KeyFile)
	if k := c.file.Agent.KubernetesAPI; k != nil {
		add(k.Listen.CertificateFile, k.Listen.KeyFile, k.WebsocketTokenSecretFile)
	}
	if l := c.file.Observability.Listen; l.CertificateFile != nil && l.KeyFile != nil {
		add(*l.CertificateFile, *l.KeyFile)
	}
	if a := c.file.API; a != nil && a.Listen != nil {
		add(a.Listen.AuthenticationSecretFile, a.Listen.CertificateFile, a.Listen.KeyFile)
	}
	if p := c.file.PrivateAPI; p != nil && p.Listen != nil {
		add(p.Listen.AuthenticationSecretFile, p.Listen.CertificateFile, p.Listen.KeyFile)
	}
	return files
}

// Pairs are the certificates of its listeners, with their keys. Who asks for them
// by which name the file does not say.
func (c *Config) Pairs() []certs.Served {
	var pairs []certs.Served
	add := func(certificate, key string) {
		if certificate != "" && key != "" {
			pairs = certs.Add(pairs, certs.Served{Pair: certs.Pair{Certificate: certificate, Key: key}})
		}
	}
	add(c.file.Agent.Listen.CertificateFile, c.file.Agent.Listen.KeyFile)
	if k := c.file.Agent.KubernetesAPI; k != nil {
		add(k.Listen.CertificateFile, k.Listen.KeyFile)
	}
	if l := c.file.Observability.Listen; l.CertificateFile != nil && l.KeyFile != nil {
		add(*l.CertificateFile, *l.KeyFile)
	}
	if a := c.file.API; a != nil && a.Listen != nil {
		add(a.Listen.CertificateFile, a.Listen.KeyFile)
	}
	if p := c.file.PrivateAPI; p != nil && p.Listen != nil {
		add(p.Listen.CertificateFile, p.Listen.KeyFile)
	}
	return pairs
}

// Network is "tcp" unless a listener of the file says otherwise.
func network(n string) string {
	if n == "" {
		return "tcp"
	}
	return n
}

// listenError names the section whose address could not be opened.
func listenError(section, address string, err error) error {
	return fmt.Errorf("kas: opening %s on %s: %w", section, address, err)
}

// WebSocketTokenFile is the secret of WebSocket tokens, "" if there is none.
func (c *Config) WebSocketTokenFile() string {
	if k := c.file.Agent.KubernetesAPI; k != nil {
		return k.WebsocketTokenSecretFile
	}
	return ""
}

// GitLab is the address of the GitLab that is asked, and the file with the
// secret that signs the questions.
func (c *Config) GitLab() (address, secretFile string) {
	return c.file.Gitlab.Address, c.file.Gitlab.AuthenticationSecretFile
}

// Proxied are the listeners that a balancer sends clients to: the one for
// agents, and the Kubernetes API proxy's, "" if there is none.
func (c *Config) Proxied() (agents, kubernetes string) {
	if k := c.file.Agent.KubernetesAPI; k != nil {
		kubernetes = k.Listen.Address
	}
	return c.file.Agent.Listen.Address, kubernetes
}
