// Package kas is GitLab's agent server, configured by GitLab's own
// kas-config.yaml: agents over WebSocket and gRPC, their reverse tunnels, the
// Kubernetes API proxy, and observability. It gets a file and a host and knows
// neither spec nor topology nor who stands in front. Its law: a section of the
// file is honoured or refused, never skipped.
package kas

import (
	"fmt"

	"kasgen/internal/diag"
	"kasgen/internal/kasconf"
)

// Config is a kas-config.yaml that can be run.
type Config struct {
	file *kasconf.File // with every default
}

// Load reads and checks a file. It opens nothing. The error, where there is
// one, is a diag.Findings.
func Load(name string, data []byte) (*Config, error) {
	f, doc, err := kasconf.ReadPlaced(name, data)
	if err != nil {
		return nil, err
	}
	var fs diag.Findings
	refuse := func(present bool, field, why, fix string) {
		if present {
			fs.Add(diag.Finding{Code: "KAS3001", Pos: doc.Pos(field), Field: field,
				What: field + " is not something that the embedded kas does", Why: why, Fix: fix})
		}
	}
	refuse(f.Gitlab == nil, "gitlab", "without it no agent and no job can be known", "add gitlab.address and gitlab.authentication_secret_file")
	refuse(f.Redis != nil, "redis", "tunnels are kept in memory here, and another kas would not find them",
		"remove the section for a single embedded kas, or run GitLab's kas")
	refuse(f.Config != nil && f.Config.Command != "", "config.command", "the embedded kas runs no command for its configuration", "write the configuration into the file")
	refuse(f.Workspaces != nil && f.Workspaces.Enabled, "workspaces.enabled", "the embedded kas has no workspaces proxy", "set it to false, or run GitLab's kas")
	if err := fs.Err(); err != nil {
		return nil, err
	}
	return &Config{file: f.WithDefaults()}, nil
}

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
	files := []string{c.file.Gitlab.AuthenticationSecretFile}
	add := func(names ...string) {
		for _, n := range names {
			if n != "" {
				files = append(files, n)
			}
		}
	}
	add(c.file.Gitlab.CACertificateFile, c.file.Agent.Listen.CertificateFile, c.file.Agent.Listen.KeyFile)
	if k := c.file.Agent.KubernetesAPI; k != nil {
		add(k.Listen.CertificateFile, k.Listen.KeyFile)
	}
	if a := c.file.API; a != nil && a.Listen != nil {
		add(a.Listen.AuthenticationSecretFile, a.Listen.CertificateFile, a.Listen.KeyFile)
	}
	if p := c.file.PrivateAPI; p != nil && p.Listen != nil {
		add(p.Listen.AuthenticationSecretFile, p.Listen.CertificateFile, p.Listen.KeyFile)
	}
	return files
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
