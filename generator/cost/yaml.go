package cost

import (
	"encoding/json"

	"kasgen/internal/certsconf"
	"kasgen/internal/edgeconf"
	"kasgen/internal/kasconf"
)

func readEdge(f *facts, path string, data []byte) error {
	e, err := edgeconf.Read(path, data)
	if err != nil {
		return err
	}
	f.carries = true
	for _, l := range e.Listeners {
		f.listen = append(f.listen, listener{address: l.Address, owner: "listener " + l.Name})
		f.names = append(f.names, l.ServerNames...)
		if l.TLS != nil {
			f.load(l.TLS.CertificateFile, l.TLS.KeyFile)
			if t := l.TLS.SessionTickets; t != nil {
				f.load(t.KeyFile)
			}
			if ca := l.TLS.ClientCA; ca != nil {
				f.load(ca.File)
			}
		}
	}
	for _, u := range e.Upstreams {
		if u.TLS != nil {
			f.load(u.TLS.CAFile)
		}
	}
	return f.setForm(e)
}

func readKAS(f *facts, path string, data []byte) error {
	given, err := kasconf.Read(path, data)
	if err != nil {
		return err
	}
	f.carries = true
	k := given.WithDefaults() // a default that is written out changes nothing
	open := func(owner, address string) {
		f.listen = append(f.listen, listener{address: address, owner: owner})
	}
	a := k.Agent.Listen
	open("agent", a.Address)
	f.load(a.CertificateFile, a.KeyFile)
	if p := k.Agent.KubernetesAPI; p != nil {
		open("agent.kubernetes_api", p.Listen.Address)
		f.load(p.Listen.CertificateFile, p.Listen.KeyFile)
	}
	o := k.Observability.Listen
	open("observability", o.Address)
	for _, file := range []*string{o.CertificateFile, o.KeyFile} {
		if file != nil {
			f.load(*file)
		}
	}
	open("api", k.API.Listen.Address)
	f.load(k.API.Listen.CertificateFile, k.API.Listen.KeyFile)
	p := k.PrivateAPI.Listen
	open("private_api", p.Address)
	f.load(p.CertificateFile, p.KeyFile, p.CACertificateFile, k.Gitlab.CACertificateFile)
	if r := k.Redis; r != nil && r.TLS != nil {
		f.load(r.TLS.CertificateFile, r.TLS.KeyFile, r.TLS.CACertificateFile)
	}
	return f.setForm(k)
}

func readCerts(f *facts, path string, data []byte) error {
	c, err := certsconf.Read(path, data)
	if err != nil {
		return err
	}
	f.listen = append(f.listen, listener{address: c.Observability.Listen, owner: "observability"})
	if a := c.ACME; a != nil {
		f.load(a.CAFile)
	}
	return f.setForm(c)
}

// load notes certificates and keys; empty names are none.
func (f *facts) load(files ...string) {
	for _, file := range files {
		if file != "" {
			f.certs = append(f.certs, file)
		}
	}
}

func (f *facts) setForm(v any) error {
	text, err := json.Marshal(v)
	f.form = string(text)
	return err
}
