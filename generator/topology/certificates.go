package topology

import (
	"slices"

	"kasgen/generator/spec"
)

// Certificates are what is obtained from a CA.
type Certificates struct {
	spec.ACME
	Names []string
	Edge  bool // the edge does
	TLS   TLS  // where they are written
	// Who ends TLS with them in files, and so reads its configuration again
	// after each renewal.
	HAProxy, Stream, Web bool
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
	if t.Front != nil {
		ends := slices.ContainsFunc(t.Front.Frontends, func(f Frontend) bool { return f.TLS != nil })
		c.HAProxy, c.Stream = ends && t.Front.Program == HAProxy, ends && t.Front.Program == Nginx
	}
	c.HAProxy = c.HAProxy || t.HTTP2 != nil && t.HTTP2.TLS != nil
	c.Web = t.Web != nil && slices.ContainsFunc(t.Web.Sites, func(site Site) bool { return site.TLS != nil })
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
