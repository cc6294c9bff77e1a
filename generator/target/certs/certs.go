// Package certs owns certs.yaml, which certificates are obtained from a CA and
// where they are written. It knows no spec. Its law: certsconf reads what it
// writes.
package certs

import (
	"fmt"

	"kasgen/generator/bundle"
	"kasgen/generator/spec"
	"kasgen/generator/target"
	"kasgen/generator/topology"
	"kasgen/internal/certsconf"
)

// Path is the file's name in a bundle.
const Path = "certs/certs.yaml"

// Render writes what is obtained, if anything is.
func Render(t topology.Topology) ([]bundle.File, error) {
	c := t.Certs
	if c == nil {
		return nil, nil
	}
	f := &certsconf.File{
		APIVersion: certsconf.APIVersion, Kind: certsconf.Kind, Source: certsconf.SourceACME,
		ACME: &certsconf.ACME{
			Directory: c.Directory, CAFile: c.CAFile, Email: c.Email, KeyType: certsconf.KeyType(c.KeyType),
			Challenge: certsconf.Challenge(c.Challenge), Webroot: c.Webroot,
			Cache: certsconf.Cache{Directory: c.Cache.Directory, KeyFile: c.Cache.KeyFile},
		},
		Certificates:  []certsconf.Certificate{{Names: c.Names, CertificateFile: c.TLS.CertificateFile, KeyFile: c.TLS.KeyFile}},
		Observability: certsconf.Observability{Listen: c.Observability},
		Drain:         certsconf.Duration(t.Timeouts.Drain),
	}
	if e := c.ExternalAccount; e != nil {
		f.ACME.ExternalAccount = &certsconf.ExternalAccount{KeyID: e.KeyID, KeyFile: e.KeyFile}
	}
	const first = "certificates[0]"
	notes := map[string]string{
		"acme.directory":           "Who obtains certificates here agrees to this CA's terms.",
		"acme.cache":               "Account, certificates and keys, for every replica; mode 0600.",
		first + ".names":           "No other name is ever asked for.",
		first + ".certificateFile": "Written for the programs that end TLS, after each renewal.",
		"observability.listen":     "/liveness, /readiness and /metrics",
		"drain":                    "How long streams live on after SIGTERM.",
	}
	if s := c.Cache.Secret; s != nil {
		f.ACME.Cache.Secret = &certsconf.Secret{Name: s.Name, Namespace: s.Namespace, Kubeconfig: s.Kubeconfig}
		notes["acme.cache"] = "Account, certificates and keys, for every replica. Rights: get and patch of the\nSecret, create of Secrets, and get, create and update of Leases."
	}
	switch {
	case c.Challenge == spec.TLSALPN01:
		notes["acme.challenge"] = "Answered at the edge's own port, by whoever gets the CA's handshake."
	case c.Webroot != "":
		notes["acme.webroot"] = "Somebody else's server answers on port 80, from .well-known/acme-challenge here."
	default:
		notes["acme.challenge"] = "Asked on port 80, where nginx passes it on to observability.listen."
	}
	if c.Edge {
		notes[first+".certificateFile"] = "The edge in the process that obtains it has it from memory; it is written for\nothers, after each renewal."
	}
	if t.Readers.HAProxy {
		f.Certificates[0].CombinedFile = c.TLS.CombinedFile
		notes[first+".combinedFile"] = "Certificate and key, for HAProxy."
	}
	data := certsconf.Write(f, target.Header(t, "Certificates"), notes)
	if _, err := certsconf.Read(Path, data); err != nil {
		return nil, fmt.Errorf("certificates: the topology cannot be written: %w", err)
	}
	return []bundle.File{{Path: Path, Data: data}}, nil
}
