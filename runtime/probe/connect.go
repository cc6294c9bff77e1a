package probe

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
)

// checkName finds the address.
func (e *endpoint) checkName(ctx context.Context) Check {
	if to := cmp.Or(e.s.o.Connect[e.host], e.s.o.Connect[""]); to != "" {
		e.address = to
		if _, _, err := net.SplitHostPort(to); err != nil {
			e.address = net.JoinHostPort(strings.Trim(to, "[]"), e.port)
		}
		return passed("connecting to %s, as told; the name is not asked for", e.address)
	}
	e.address = net.JoinHostPort(e.host, e.port)
	if net.ParseIP(e.host) != nil {
		return passed("%s is an address", e.host)
	}
	ctx, cancel := context.WithTimeout(ctx, e.s.o.Timeout)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupHost(ctx, e.host)
	if err != nil {
		return failed(codeName, fmt.Sprintf("looking up %s: %v", e.host, err),
			"agents and kubectl find kas by this name; agents report `no such host`",
			"add an A or AAAA record that points at the load balancer, or try an address before DNS moves with --connect-to; agents resolve it from inside their cluster, so look from a pod, too")
	}
	return passed("%s", strings.Join(addrs, ", "))
}

// checkTCP connects.
func (e *endpoint) checkTCP(ctx context.Context) Check {
	c, err := e.dialTCP(ctx, "")
	if err == nil {
		defer c.Close()
		return passed("connected to %s", c.RemoteAddr())
	}
	why := "nothing else can be tried; agents report `connection refused` or `i/o timeout`"
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return failed(codeTCP, fmt.Sprintf("%s refuses connections", e.address), why, "start the load balancer or nginx, or correct the port that it listens on")
	case timedOut(err):
		return failed(codeTCP, fmt.Sprintf("%s does not answer within %v", e.address, e.s.o.Timeout), why,
			"open the port in firewalls and security groups, towards the load balancer and from it to its backend; look at the name's address")
	default:
		return failed(codeTCP, err.Error(), why, "look at routes, firewalls and the address")
	}
}

// checkProxyHeader compares a handshake with the header that was asked for and
// one without.
func (e *endpoint) checkProxyHeader(ctx context.Context) Check {
	asked := e.s.o.ProxyProtocol
	_, err := e.shake(ctx, e.plainly())
	why := "who wants a PROXY header takes the TLS handshake for one, and who wants none takes the header for a broken handshake"
	if asked == "" {
		if err == nil {
			return passed("none is sent, and TLS is taken without")
		}
		for _, version := range []string{"v2", "v1"} {
			if _, err := e.shake(ctx, dialing{proxy: version, alpn: []string{"http/1.1"}}); err == nil {
				return failed(codeProxy, "TLS is taken only behind a PROXY header "+version+", and nothing on the way sends one", why,
					"have the balancer in front send it (send-proxy"+map[string]string{"v1": "", "v2": "-v2"}[version]+" in HAProxy, proxy_protocol on in nginx), or have this listener not ask for it; give --proxy-protocol "+version+" to try what is behind the balancer")
			}
		}
		return skipped("none is sent (--proxy-protocol), and TLS fails with one, too")
	}
	if err == nil {
		return passed("TLS behind a PROXY header %s", asked)
	}
	if _, plain := e.shake(ctx, dialing{alpn: []string{"http/1.1"}}); plain == nil {
		return failed(codeProxy, "a PROXY header "+asked+" breaks the connection: TLS is taken without one only", why,
			"take --proxy-protocol away, or have the listener ask for the header (accept-proxy in HAProxy, listen ... proxy_protocol in nginx, proxyProtocol in edge.yaml), where the balancer sends it")
	}
	other := map[string]string{"v1": "v2", "v2": "v1"}[asked]
	if _, err := e.shake(ctx, dialing{proxy: other, alpn: []string{"http/1.1"}}); err == nil {
		return failed(codeProxy, "the listener wants a PROXY header "+other+", not "+asked, why, "have both sides agree on "+other)
	}
	return skipped("TLS fails with the header and without")
}

func (e *endpoint) plainly() dialing {
	return dialing{proxy: e.s.o.ProxyProtocol, alpn: []string{"http/1.1"}}
}

// checkTLS shakes hands.
func (e *endpoint) checkTLS(ctx context.Context) Check {
	d := e.plainly()
	d.alpn = []string{"h2", "http/1.1"}
	h, err := e.shake(ctx, d)
	if err != nil { // some close where ALPN has nothing in common
		d.alpn = nil
		var again error
		if h, again = e.shake(ctx, d); again != nil {
			return e.noTLS(ctx, err)
		}
	}
	e.tls = h
	if len(h.certs) == 0 {
		return failed(codeTLS, "the server shows no certificate", "clients cannot know who it is", "give the listener a certificate")
	}
	return passed("%s", tls.VersionName(h.version))
}

// noTLS says what is there instead.
func (e *endpoint) noTLS(ctx context.Context, err error) Check {
	why := "everybody comes by TLS; kubectl sends no credentials without it"
	alert := strings.Contains(err.Error(), "remote error: tls: ") // crypto/tls keeps the type to itself
	var record tls.RecordHeaderError
	switch {
	case alert && strings.Contains(err.Error(), "unrecognized name"):
		return failed(codeCertName, "the server refuses TLS for the name "+e.host, "a listener that serves several names closes connections for all others",
			"have it serve this name (server_name in nginx, serverNames in edge.yaml), or correct the name").because(causeRefused)
	case alert && strings.Contains(err.Error(), "protocol version"):
		return failed(codeTLS, "the server speaks no TLS 1.2 or later", "current clients speak nothing older", "allow TLS 1.2 and 1.3 (ssl_protocols in nginx, ssl-min-ver in HAProxy)").because(causeVersion)
	case alert:
		return failed(codeTLS, err.Error(), why, "look at the certificate, key, protocols and ciphers of the listener, and at its log")
	case errors.As(err, &record):
		if status := e.cleartext(ctx); status != "" {
			return failed(codeTLS, "the port speaks cleartext HTTP: "+status, why, "have the listener end TLS (ssl in nginx's listen, bind ... ssl crt in HAProxy), or connect to the one that does").because(causeCleartext)
		}
		return failed(codeTLS, fmt.Sprintf("the answer to the handshake is no TLS: it begins with %q", record.RecordHeader), why,
			"have the listener end TLS; where it does, something comes before TLS, such as a PROXY header (send-proxy) that it does not expect")
	case timedOut(err):
		return failed(codeTLS, "no answer to the handshake: "+err.Error(), why, "look at whether the balancer's backend answers, and whether it waits for a PROXY header")
	default:
		return failed(codeTLS, "the connection ends during the handshake: "+err.Error(), why,
			"look at whether the balancer reaches its backend, whether that has a certificate, and whether one side sends a PROXY header that the other does not expect")
	}
}

// cleartext is the status line of a request without TLS, "" if that is no
// good either.
func (e *endpoint) cleartext(ctx context.Context) string {
	c, err := e.dialTCP(ctx, e.s.o.ProxyProtocol)
	if err != nil {
		return ""
	}
	defer c.Close()
	a, _, err := e.send(ctx, c, request{method: "GET", path: e.agents})
	if err != nil || a.status == 400 {
		return ""
	}
	return a.String()
}
