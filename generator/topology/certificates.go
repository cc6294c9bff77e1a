package topology

import (
	"slices"

	"kasgen/generator/spec"
	"kasgen/internal/certsconf"
	"kasgen/internal/lockfile"
)

// Certificates are what is obtained from a CA.
type Certificates struct {
	spec.ACME
	Names []string
	Edge  bool // the edge does
	TLS   TLS  // where they are written
}

// Readers are the programs that end TLS with certificates in files that change,
// and so read their configuration again after each renewal.
type Readers struct{ HAProxy, Stream, Web bool }

// readers finds them. A certificate of the development CA changes when kasgen
// starts, and Omnibus's own only where Omnibus reloads.
func readers(t *Topology, s *spec.Spec) {
	if s.TLS.Source != spec.TLSACME && s.TLS.Source != spec.TLSFiles {
		return
	}
	r := &t.Readers
	if t.Front != nil {
		ends := slices.ContainsFunc(t.Front.Frontends, func(f Frontend) bool { return f.TLS != nil })
		r.HAProxy, r.Stream = ends && t.Front.Program == HAProxy, ends && t.Front.Program == Nginx
	}
	r.HAProxy = r.HAProxy || t.HTTP2 != nil && t.HTTP2.TLS != nil && t.HTTP2.Program == HAProxy
	r.Web = t.Web != nil && slices.ContainsFunc(t.Web.Sites, func(site Site) bool { return site.TLS != nil })
	if s.TLS.Source != spec.TLSFiles || *r == (Readers{}) {
		return
	}
	t.Kept = &lockfile.Certificates{Drain: certsconf.Duration(t.Timeouts.Drain)}
	if r.HAProxy {
		t.Kept.Combined = []lockfile.Combined{{CertificateFile: s.TLS.CertificateFile, KeyFile: s.TLS.KeyFile, CombinedFile: s.TLS.CombinedFile}}
	}
}

// certificates adds what is obtained from a CA to a topology that is otherwise
// whole.
func certificates(t *Topology, s *spec.Spec) {
	if s.TLS.Source != spec.TLSACME {
		return
	}
	c := &Certificates{ACME: s.TLS.ACME, Names: s.Certified(), TLS: *tlsOf(s), Edge: t.Edge != nil && t.Edge.TLS != nil}
	if c.Challenge == spec.HTTP01 && c.Webroot == "" && t.Web != nil && t.Web.Redirect != nil {
		t.Web.Redirect.Challenge, t.Web.Redirect.Answers = "", dialable(c.Observability)
	}
	t.Certs = c
	t.validated(s)
}

// validated sends a CA's handshakes for a name that the gRPC balancer has to
// the edge, which answers them.
func (t *Topology) validated(s *spec.Spec) {
	if s.TLS.ACME.Challenge != spec.TLSALPN01 || len(t.Certs.Names) < 2 || t.Front == nil {
		return
	}
	t.Front.Frontends[0].Validated = []Name{{Host: s.Names.GRPC, Backend: edgeBackend}}
}
