package spec

import (
	"fmt"
	"slices"
	"strings"
)

// The directories of Let's Encrypt.
const (
	letsEncrypt        = "https://acme-v02.api.letsencrypt.org/directory"
	letsEncryptStaging = "https://acme-staging-v02.api.letsencrypt.org/directory"
)

// resolveACME fills in whom to ask, and how to prove what is ours.
func (s *Spec) resolveACME() {
	if s.TLS.Source != TLSACME {
		return
	}
	a := &s.TLS.ACME
	if a.Directory == "" {
		a.Directory = letsEncrypt
		if a.Staging {
			a.Directory = letsEncryptStaging
		}
	}
	if a.Challenge == "" {
		// By http-01 no other program has to hand the CA's handshakes to the
		// edge; where the edge takes all handshakes, 443 is the one port needed.
		alpn, http := s.handshakes() == nil, s.asked()
		switch {
		case alpn && (!http || len(s.Certified()) == 1):
			a.Challenge = TLSALPN01
		case http:
			a.Challenge = HTTP01
		}
	}
}

// Certified are the names whose TLS ends at what is rendered here. The others'
// certificates are somebody else's.
func (s *Spec) Certified() []string {
	lb, sh := s.LoadBalancer, s.Topology.shape()
	var names []string
	if ours := !lb.Kind.External() || lb.Kind == ExternalTCP && lb.TLS == Passthrough; ours && s.Names.KAS != "" {
		names = append(names, s.Names.KAS)
	}
	if s.grpcEndsTLS() && s.Names.GRPC != "" ||
		s.endedBefore() && len(names) > 0 && len(sh.grpc) > 0 {
		names = append(names, s.Names.GRPC)
	}
	return names
}

// grpcEndsTLS says whether a gRPC balancer of ours ends TLS.
func (s *Spec) grpcEndsTLS() bool {
	return len(s.Topology.shape().grpc) > 0 && !s.GRPCBalancer.Kind.External() && s.GRPCBalancer.TLS == GRPCTerminate
}

// handshakes are the names whose handshakes the edge cannot be given, and so
// tls-alpn-01 neither: nil where it can have all of them.
func (s *Spec) handshakes() []string {
	lb, sh := s.LoadBalancer, s.Topology.shape()
	var others []string
	for _, name := range s.Certified() {
		switch {
		case sh.vhosts || lb.TLS != Passthrough: // nginx or the balancer takes them
			others = append(others, name)
		case name != s.Names.KAS && s.GRPCBalancer.Address != AddressShared: // the gRPC balancer does
			others = append(others, name)
		}
	}
	return others
}

// asked says whether a CA that asks on port 80 gets an answer: from nginx, which
// asks who obtains the certificate, or from files in a directory.
func (s *Spec) asked() bool { return len(s.HTTP.Listen) > 0 || s.TLS.ACME.Webroot != "" }

// acme checks the single values of the section.
func (c *checker) acme() {
	a, at := c.spec.TLS.ACME, "tls.acme."
	c.https(at+"directory", a.Directory)
	c.optionalPath(at+"caFile", a.CAFile)
	c.email(at+"email", a.Email)
	if e := a.ExternalAccount; e != nil {
		c.text(at+"externalAccount.keyID", e.KeyID)
		c.path(at+"externalAccount.keyFile", e.KeyFile)
	}
	choice(c, at+"keyType", a.KeyType, ECDSA256, ECDSA384, RSA2048, RSA4096)
	if a.Challenge != "" || c.rules != nil { // what is empty follows from others
		choice(c, at+"challenge", a.Challenge, TLSALPN01, HTTP01)
	}
	c.optionalPath(at+"webroot", a.Webroot)
	c.derivedPath(at+"cache.directory", a.Cache.Directory)
	if s := a.Cache.Secret; s != nil {
		c.name(at+"cache.secret.name", s.Name)
		if field := at + "cache.secret.namespace"; !c.note(field, Rule{Form: FormName}) && s.Namespace != "" {
			c.name(field, s.Namespace)
		}
		c.optionalPath(at+"cache.secret.kubeconfig", s.Kubeconfig)
	}
	c.optionalPath(at+"cache.keyFile", a.Cache.KeyFile)
	c.listen(at+"observability", a.Observability)
}

func (c *checker) https(field, value string) {
	if c.note(field, Rule{Form: FormHTTPS}) || value == "" {
		return
	}
	before := len(c.findings)
	c.url(field, value)
	if len(c.findings) == before && !strings.HasPrefix(strings.ToLower(value), "https:") {
		c.add(CodeURL, field, fmt.Sprintf("%s is %q", field, value), "a CA is spoken to over https only (RFC 8555, section 6.1)", "write the https URL")
	}
}

func (c *checker) email(field, value string) {
	if c.note(field, Rule{Form: FormEmail}) || value == "" {
		return
	}
	local, host, ok := strings.Cut(value, "@")
	if !ok || local == "" || !isName(host) || strings.ContainsAny(local, ",<> \t") || strings.ContainsFunc(value, unquotable) {
		c.add(CodeEmail, field, fmt.Sprintf("%s is %q", field, value), "the CA writes to it, and CAs refuse accounts with an address that cannot be one", "write it like ops@example.com, or leave it out")
	}
}

// challenges looks at whether certificates can be obtained, and who else
// provides them.
func (c *checker) challenges() {
	s, t := c.spec, c.spec.TLS
	if t.Source == TLSBalancer {
		c.provided()
	}
	if t.Source != TLSACME {
		if c.has("tls.acme") && c.rules == nil {
			c.add(CodeACMEUnused, "tls.acme", "tls.acme is set although tls.source is "+string(t.Source), "nothing is obtained from a CA", "write tls.source: acme, or remove it")
		}
		return
	}
	if t.ACME.Cache.Secret != nil && c.has("tls.acme.cache.directory") {
		c.add(CodeACMEUnused, "tls.acme.cache.secret", "tls.acme.cache has both directory and secret", "replicas share one place", "remove one")
	}
	if t.ACME.Staging && c.has("tls.acme.directory") {
		c.add(CodeACMEUnused, c.written("tls.acme.staging"), "tls.acme.staging is true and tls.acme.directory is set", "both say who the CA is", "remove one")
	}
	if len(s.Certified()) == 0 || s.LoadBalancer.TLS == Reencrypt {
		c.add(CodeACME, c.written("tls.source", "loadBalancer.kind"), "tls.source is acme, and TLS of names.kas ends at somebody else's balancer",
			"clients see that balancer's certificate, and so does a CA that validates", "use tls.source: balancer where it passes on cleartext, or files for what it trusts behind itself")
		return
	}
	for _, n := range []struct{ field, name string }{{"names.kas", s.Names.KAS}, {"names.grpc", s.Names.GRPC}} {
		if !c.has("tls.acme.directory") && slices.Contains(s.Certified(), n.name) && isName(n.name) && !public(n.name) {
			c.add(CodeUncertifiable, c.written(n.field, "names.kas"), "Let's Encrypt does not certify "+n.name,
				"it is no name of the public DNS, in which a CA looks it up", "use a public name, or tls.source: files, or name a CA of your own in tls.acme.directory")
		}
	}
	c.answerable()
}

// provided looks at certificates that somebody else's balancer has.
func (c *checker) provided() {
	s := c.spec
	what := "tls.source is balancer, and TLS of " + strings.Join(s.Certified(), " and ") + " does not end at somebody else's"
	switch {
	case s.LoadBalancer.TLS == Reencrypt:
		c.add(CodeNoBalancer, c.written("tls.source", "loadBalancer.tls"), "tls.source is balancer, and loadBalancer.tls is reencrypt",
			"TLS is taken again behind the balancer, which needs a certificate that the balancer trusts or does not look at", "use tls.source: files, or developmentCA and have the balancer trust its root; or loadBalancer.tls: terminate")
	case len(s.Certified()) > 0:
		c.add(CodeNoBalancer, c.written("tls.source", "loadBalancer.kind"), what,
			"what is rendered ends it and needs the certificate itself", "use tls.source: acme or files, or a balancer that ends TLS: loadBalancer.kind external-tcp or external-http, with loadBalancer.tls: terminate")
	}
}

// answerable reports a challenge that would not reach who answers it.
func (c *checker) answerable() {
	s := c.spec
	field := c.written("tls.acme.challenge", "http.listen", "tls.source")
	const open = "write tls.acme.challenge: http-01, and set http.listen to where port 80 is free, or tls.acme.webroot to where somebody else's server answers from"
	others := s.handshakes()
	switch {
	case s.TLS.ACME.Challenge == TLSALPN01 && len(others) > 0:
		who := "the load balancer ends TLS"
		switch {
		case s.Topology.shape().vhosts:
			who = "nginx ends TLS"
		case s.LoadBalancer.TLS == Passthrough:
			who = "the gRPC balancer ends TLS at an address of its own"
		}
		c.add(CodeChallenge, field, "tls-alpn-01 cannot be answered for "+strings.Join(others, " and "),
			who+", and answers no CA: only the edge does, where it gets the handshake", "write tls.acme.challenge: http-01, with port 80 in http.listen")
	case s.TLS.ACME.Challenge == HTTP01 && !s.asked():
		fix := open
		if len(others) == 0 {
			fix = "write tls.acme.challenge: tls-alpn-01, or set http.listen to where port 80 is free"
		}
		c.add(CodeChallenge, field, "http-01 cannot be answered: http.listen is empty", "the CA asks on port 80 of each name, and nothing listens there", fix)
	case s.TLS.ACME.Challenge == TLSALPN01 && s.TLS.ACME.Webroot != "":
		c.add(CodeACMEUnused, "tls.acme.webroot", "tls.acme.webroot is set although tls.acme.challenge is tls-alpn-01", "nobody would read the files", "remove it, or write tls.acme.challenge: http-01")
	case s.TLS.ACME.Challenge == "":
		c.add(CodeChallenge, field, "no challenge can be answered", "http.listen is empty, and the edge does not get the handshakes of "+strings.Join(others, " and "), open)
	}
}

// public says whether a name can be one of the public DNS: it has a dot, and
// its last label is none that is kept out of it (RFC 6761, RFC 6762, RFC 8375,
// ICANN's .internal). example.com and .test pass, or nothing could be tried.
func public(name string) bool {
	i := strings.LastIndexByte(name, '.')
	return i > 0 && !slices.Contains([]string{"local", "localhost", "internal", "arpa", "lan", "home", "corp"}, name[i+1:])
}

// ownCache warns of nodes that would each order for themselves. A CA asks the
// balancer, which knows nothing of who has ordered.
func (c *checker) ownCache() {
	s, lb := c.spec, c.spec.LoadBalancer
	a := s.TLS.ACME
	if s.TLS.Source != TLSACME || a.Cache.Secret != nil || s.Topology.shape().vhosts || lb.TLS != Passthrough {
		return
	}
	who := fmt.Sprintf("%d nodes obtain the certificate", len(lb.Nodes))
	switch {
	case len(lb.Nodes) > 1:
	case remote(lb.Nodes) && a.Challenge == HTTP01 && a.Webroot == "":
		who = "a node obtains the certificate, and port 80 is on the load balancer's machine"
	default:
		return
	}
	c.warn(CodeOwnCache, c.written("tls.acme.cache.directory", "tls.source"), who+", and the cache is a directory",
		"unless all machines see one directory each orders for itself, and a CA that asks one of them what another has ordered is told nothing",
		"use tls.acme.cache.secret, or a directory that all of them share and suppress this; where port 80 is, run `kasgen run --role certs` too")
}
