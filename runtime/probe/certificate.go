package probe

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"
)

// soon is when a certificate that lives for 90 days should have been renewed
// long ago: ACME clients do so 30 days before.
const soon = 14 * 24 * time.Hour

// checkChain verifies who signed the certificate, and nothing else.
func (e *endpoint) checkChain(context.Context) Check {
	leaf := e.tls.certs[0]
	between := x509.NewCertPool()
	for _, c := range e.tls.certs[1:] {
		between.AddCert(c)
	}
	at := e.s.o.Now()
	switch { // its dates have a check of their own
	case at.After(leaf.NotAfter):
		at = leaf.NotAfter.Add(-time.Second)
	case at.Before(leaf.NotBefore):
		at = leaf.NotBefore.Add(time.Second)
	}
	chains, err := leaf.Verify(x509.VerifyOptions{Roots: e.s.o.Roots, Intermediates: between, CurrentTime: at})
	if err == nil {
		e.trusted = true
		if ca := e.s.o.Development; ca != nil && chains[0][len(chains[0])-1].Equal(ca) {
			return passed("signed by %s, the bundle's development CA, which agents and kubectl have to be given", leaf.Issuer)
		}
		return passed("signed by %s", leaf.Issuer)
	}
	why := "agents, kubectl and CI jobs report `x509: certificate signed by unknown authority`"
	private := "give the CA to agents (config.kasCaCert of the agent's chart, --kas-ca-cert-file), to CI jobs (SSL_CERT_FILE or --certificate-authority) and to the probe (--ca-file), or use a public CA"
	var unknown x509.UnknownAuthorityError
	switch {
	case !errors.As(err, &unknown):
		return failed(codeChain, err.Error(), why, "have the certificate issued again")
	case leaf.Issuer.String() == leaf.Subject.String():
		return failed(codeChain, "the certificate is signed by itself: "+leaf.Subject.String(), why, "use the certificate of a CA; a self-signed one is often a default that stands in for one that was not found")
	case len(e.tls.certs) == 1:
		return failed(codeChain, "unknown authority: "+leaf.Issuer.String()+"; the server sends its own certificate alone", why,
			"if the CA is public, put its intermediate certificates behind the server's own in the file; else "+private)
	default:
		return failed(codeChain, "unknown authority: "+e.tls.certs[len(e.tls.certs)-1].Issuer.String(), why, private)
	}
}

// checkCertName compares names.
func (e *endpoint) checkCertName(context.Context) Check {
	leaf := e.tls.certs[0]
	if err := leaf.VerifyHostname(e.host); err == nil {
		return passed("it names %s", e.host)
	}
	e.trusted = false
	return failed(codeCertName, fmt.Sprintf("the certificate is for %s, not for %s", names(leaf), e.host),
		"clients refuse it; nginx answers a name that it does not know from its default server, with that one's certificate",
		"put the name into the certificate, or the right certificate into the listener; in nginx, see that a server has server_name "+e.host)
}

func names(c *x509.Certificate) string {
	list := c.DNSNames
	for _, ip := range c.IPAddresses {
		list = append(list, ip.String())
	}
	if len(list) == 0 {
		return "no name (" + c.Subject.String() + ")"
	}
	return strings.Join(list, ", ")
}

// checkExpiry looks at the dates of every certificate of the chain.
func (e *endpoint) checkExpiry(context.Context) Check {
	now, first := e.s.o.Now(), e.tls.certs[0]
	for _, c := range e.tls.certs {
		if c.NotAfter.Before(first.NotAfter) {
			first = c
		}
		if now.Before(c.NotBefore) {
			e.trusted = false
			return failed(codeExpiry, fmt.Sprintf("the certificate of %s holds from %s on", names(c), c.NotBefore.Format(time.RFC3339)),
				"clients refuse it until then", "look at the clocks of the machine that issued it and of this one")
		}
	}
	date := first.NotAfter.Format(time.RFC3339)
	renew := "renew it, and have the server read it again: a file that was renewed changes nothing before a reload"
	switch left := first.NotAfter.Sub(now); {
	case left < 0:
		e.trusted = false
		return failed(codeExpiry, fmt.Sprintf("the certificate of %s expired on %s", names(first), date), "every client refuses it", renew)
	case left < soon:
		return failed(codeExpiry, fmt.Sprintf("the certificate of %s expires on %s", names(first), date), "after that every client refuses it, and renewal should have happened by now", renew).warned()
	default:
		return passed("until %s", date)
	}
}
