package spec

import (
	"fmt"
	"strings"
)

// where warns of a challenge that is answered where a public CA does not ask: it
// connects to the standard ports and from elsewhere. Somebody may map them on
// the way, and a CA of one's own may ask anywhere.
func (c *checker) where() {
	s := c.spec
	if s.TLS.Source != TLSACME || len(s.Certified()) == 0 {
		return
	}
	field, listen, port := "loadBalancer.listen", s.LoadBalancer.Listen, uint16(443)
	switch {
	case s.TLS.ACME.Challenge == HTTP01 && s.TLS.ACME.Webroot != "":
		return // somebody else's server answers, wherever it listens
	case s.TLS.ACME.Challenge == HTTP01:
		field, listen, port = "http.listen", s.HTTP.Listen, 80
	case s.TLS.ACME.Challenge != TLSALPN01 || s.LoadBalancer.Kind.External():
		return // the port is that of somebody else's balancer
	}
	ported, reached := false, false
	for _, l := range listen {
		e, err := parseEndpoint(l)
		if err != nil {
			return
		}
		ported, reached = ported || e.port == port, reached || !e.loopback()
	}
	why := ""
	switch {
	case len(listen) == 0:
		return // which is a fault by itself
	case !ported:
		why = fmt.Sprintf("a CA asks by %s on port %d, whatever is listened on", s.TLS.ACME.Challenge, port)
	case !reached:
		why = "only this machine gets there, and a CA asks from elsewhere"
	default:
		return
	}
	c.warn(CodeAsked, c.written(field, "tls.acme.challenge", "tls.source"), fmt.Sprintf("%s is asked at %s", s.TLS.ACME.Challenge, strings.Join(listen, " and ")), why,
		fmt.Sprintf("listen on port %d of an address that a CA reaches, or suppress this where something on the way maps it or the CA is your own", port))
}
