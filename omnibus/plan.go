package omnibus

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"kasgen/generator"
	"kasgen/generator/bundle"
	"kasgen/generator/spec"
	"kasgen/internal/diag"
	"kasgen/omnibus/ledger"
	"kasgen/runtime"
	"kasgen/runtime/units"
)

// options are what every command is told.
type options struct {
	host       host
	spec       string // file; empty: the host's
	version    string // of the package; empty: that of the host
	attributes string // file; empty: the host's
	binary     string // kasgen's, on the host
	// settled is what is known of Omnibus's settings; nil: those of the last run.
	settled *Resolved
	// doubted says that the settings may be others by now: what is wrong with
	// them is a warning.
	doubted bool
	// inEffect: the caller compares our keys with what is in effect by itself.
	inEffect bool
}

// plan is what a host is to become.
type plan struct {
	options
	pkg      Package
	text     []byte // of the spec
	bundle   *bundle.Bundle
	units    []units.File
	settings settings
	resolved *Resolved // nil: nobody knows
	findings diag.Findings
	note     []ledger.Change // of what is to be reloaded
	awaited  *awaited        // nil: nginx finds every certificate, or reads none
	watched  string          // the certificate that GitLab's nginx reads and that changes; empty: none
}

// urls are those that GitLab is told to advertise.
func (p *plan) urls() (agents, kubernetes string) {
	for _, one := range p.settings.list {
		text, _ := one.value.(string)
		switch one.key[len(one.key)-1] {
		case "gitlab_kas_external_url":
			agents = text
		case "gitlab_kas_external_k8s_proxy_url":
			kubernetes = text
		}
	}
	return agents, kubernetes
}

func (o options) specPath() string {
	if o.spec != "" {
		return o.spec
	}
	return o.host.at(specFile)
}

// make renders, and looks at what Omnibus last worked with. Findings that fail
// come without a bundle.
func (o options) make() (*plan, error) {
	if o.binary == "" {
		o.binary = o.host.installedBinary()
	}
	p := &plan{options: o}
	var err error
	if p.text, err = os.ReadFile(o.specPath()); err != nil {
		return nil, fmt.Errorf("reading the spec: %w", err)
	}
	if o.version == "" {
		p.pkg, err = Detect(o.host.root)
	} else {
		p.pkg, err = choose(o.version)
	}
	if err != nil {
		return nil, fmt.Errorf("finding out GitLab's version: %w", err)
	}
	s, findings := spec.ReadFor(Defaults, o.specPath(), p.text, nil)
	p.findings = findings
	if s == nil {
		return p, nil
	}
	if p.resolved = o.settled; p.resolved == nil {
		if p.resolved, err = ReadResolved(o.attributes, o.host.root); err != nil {
			return nil, fmt.Errorf("reading Omnibus's settings: %w", err)
		}
	}
	b, more, err := generator.RenderFor(Name, s, spec.Places(o.specPath(), p.text, nil), func(f generator.Facts) ([]bundle.File, diag.Findings, error) {
		files, found, err := Render(f, p.pkg)
		include := slices.ContainsFunc(files, func(file bundle.File) bool { return file.Path == vhostsPath })
		p.settings = keys(f, p.pkg, include)
		reads := f.Topology.Readers.Web // GitLab's nginx reads the certificate
		found = append(found, p.absent(f, reads)...)
		found = append(found, p.unreadable(f)...)
		if reads {
			p.watched = f.Spec.TLS.CertificateFile
			p.await(f)
		}
		if p.resolved != nil && !found.Failed() {
			wrong := p.verify(f, include)
			for i := range wrong {
				if p.doubted && wrong[i].Severity == diag.Error {
					wrong[i].Severity = diag.Warning
				}
			}
			found = append(found, wrong...)
		}
		return files, found, err
	})
	if err != nil {
		return nil, err
	}
	p.findings = append(p.findings, more...)
	if b == nil {
		return p, nil
	}
	p.bundle = b
	return p, p.services()
}

// services are the units of what the bundle runs. They are made from the files
// as `kasgen run` reads them, so that files which it would refuse end here.
func (p *plan) services() error {
	// Debian 12's systemd; later ones take what is written for it.
	o := units.Options{Binary: p.binary, Bundle: Directory, User: "kasgen", Systemd: 252}
	if p.watched != "" {
		o.Watch, o.Reload = []string{p.watched}, []string{"/" + gitlabCtl + " hup nginx"}
	}
	runs := func(f bundle.File) bool { return f.Path != RubyPath && f.Path != vhostsPath }
	if !slices.ContainsFunc(p.bundle.Files, runs) {
		if p.watched == "" {
			return nil
		}
		var err error
		p.units, err = units.Render(o, nil)
		return err
	}
	dir, err := os.MkdirTemp("", "kasgen-omnibus-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // a leftover in /tmp is read by nobody
	scratch := filepath.Join(dir, "bundle")
	if _, err := p.bundle.Write(scratch, false); err != nil {
		return err
	}
	p.units, err = runtime.Units(scratch, o)
	return err
}

// changes are those of files outside the bundle. Units that no role has any more
// are removed.
func (p *plan) changes() ([]ledger.Change, error) {
	var list []ledger.Change
	wanted := map[string]bool{}
	for _, u := range p.units {
		wanted[u.Name] = true
		c, err := p.change(filepath.Join(unitsFolder, u.Name), u.Data)
		if err != nil {
			return nil, err
		}
		list = append(list, c...)
	}
	for _, name := range unitNames() {
		if !wanted[name] && p.host.has(filepath.Join(unitsFolder, name)) {
			list = append(list, ledger.Change{Path: p.host.at(filepath.Join(unitsFolder, name)), Remove: true})
		}
	}
	return list, nil
}

// Units that are told apart from others.
const (
	reloadPath = "kasgen-reload.path" // has GitLab's nginx read its certificate again
	sysusers   = "kasgen.sysusers.conf"
)

// unitNames are the units that an installation may have.
func unitNames() []string {
	var names []string
	for _, role := range []runtime.Role{runtime.Front, runtime.Edge, runtime.Certs} {
		names = append(names, "kasgen-"+string(role)+".service", "kasgen-"+string(role)+".socket")
	}
	return append(names, reloadPath, "kasgen-reload.service", "kasgen.target", sysusers)
}

// change is what makes a file hold data, or nothing where it does.
func (p *plan) change(name string, data []byte) ([]ledger.Change, error) {
	old, there, err := p.host.read(name)
	if err != nil || there && bytes.Equal(old, data) {
		return nil, err
	}
	return []ledger.Change{{Path: p.host.at(name), Data: data, Mode: 0o644}}, nil
}
