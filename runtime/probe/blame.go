package probe

import (
	"fmt"
	"slices"
	"strings"
)

// blame names the line that is likely to have made c what it is. The files are
// looked at in the order in which a connection meets them, only a line that can
// do what was observed is named, and of several one in a file that was changed
// since kasgen wrote it.
func (b *Bundle) blame(c *Check, e *endpoint) {
	w := b.way(c.asked(e))
	list := w.unfit(c, b.lock != nil)
	if c.Code == codeTCP && len(w) > 0 && w[0].from.port != e.port {
		list = append(list, suspect{w[0].from.at, fmt.Sprintf("clients come to port %s, and this listens on %s", e.port, w[0].from.port)})
	}
	for _, h := range w {
		if h.suspects != nil && c.cause != causeToTLS { // which of them has no TLS, the way says
			list = append(list, h.suspects(c, e)...)
		}
	}
	if len(list) == 0 {
		return
	}
	worst := list[0]
	for _, s := range list {
		if b.changed[s.at.File] {
			worst = s
			break
		}
	}
	c.At, c.Line = &worst.at, worst.line
}

// asked is what the check asked for.
func (c *Check) asked(e *endpoint) asked {
	a := asked{host: e.host, port: e.port, path: e.proxy + "version"}
	switch c.ID {
	case CheckAgentWebSocket, CheckIdleWebSocket:
		a.path = e.agents
	case CheckUpWebSocket, CheckUpSPDY:
		a.path = e.proxy + nobodysExec
	case CheckRedirect:
		a.path = e.agents
		if from, _, ok := strings.Cut(c.Observed, " is answered"); ok && !strings.HasSuffix(from, "/") {
			a.path = from + "/"
		}
	default:
		if c.ID.grpc() || e.s != nil && e != e.s.kas { // the second name is for gRPC alone
			return asked{host: e.host, port: e.port, path: method, grpc: true}
		}
	}
	return a
}

// unfit are the places where programs of the way do not fit each other. In a
// whole bundle somebody has to be behind each.
func (w way) unfit(c *Check, whole bool) []suspect {
	var list []suspect
	handshake := c.Code == codeTLS || c.Code == codeProxy
	broken := c.cause == causeNone && (handshake || c.Code == codeHTTP)
	for i, h := range w {
		if h.to == nil {
			continue
		}
		// Who is behind the end of TLS has no part in its handshake.
		opened := w[:i+1].secure()
		if c.cause == causeToTLS {
			list = append(list, w.cleartext(i)...)
			continue
		}
		if c.Code == codeGateway && h.to.secure && (i+1 == len(w) || !w[i+1].from.secure) {
			c.Fix = fmt.Sprintf("it is TLS that the front speaks to its backend: give that listener of kas a certificate (certificate_file and key_file in kas-config.yaml) whose CA the front trusts, or speak cleartext to it; where both are right, %s", c.Fix)
		}
		if handshake && opened {
			break
		}
		if i+1 == len(w) {
			switch {
			case whole && (broken && c.Code != codeProxy || c.Code == codeGateway && c.cause != causeToTLS):
				list = append(list, suspect{h.to.at, "nothing in this bundle listens on " + h.to.address})
			case broken:
				list = append(list, suspect{h.to.how, "where it sends clients, with " + header(h.to.proxy)})
			}
			break
		}
		next := w[i+1].from
		if broken && !fits(h.to.proxy, next.proxy) {
			list = append(list, suspect{h.to.how, fmt.Sprintf("it sends %s, and %s wants %s", header(h.to.proxy), next.at, header(next.proxy))},
				suspect{next.at, fmt.Sprintf("it wants %s, and %s sends %s", header(next.proxy), h.to.how, header(h.to.proxy))})
			c.disagree()
		}
		if c.Code == codeGateway && opened && h.to.secure != next.secure {
			list = append(list, suspect{h.to.how, fmt.Sprintf("it speaks %s, and %s takes %s", transport(h.to.secure), next.at, transport(next.secure))})
			if next.secure { // who has TLS may also close without a word
				c.Fix = speakTLS
			}
		}
		if c.Code == codeGateway && h.to.h2 && next.h1 {
			list = append(list, suspect{h.to.how, fmt.Sprintf("it speaks HTTP/2, and %s takes HTTP/1.1", next.at)})
		}
	}
	return list
}

// cleartext is a place that speaks it to who can have TLS, once the TLS of
// clients has ended, in the bundle or before it.
func (w way) cleartext(i int) []suspect {
	to := w[i].to
	if to.secure || w.secure() && !w[:i+1].secure() {
		return nil
	}
	if i+1 == len(w) {
		return []suspect{{to.how, "it speaks cleartext, and who answers at " + to.address + " has TLS"}}
	}
	if next := w[i+1].from; next.secure {
		return []suspect{{to.how, fmt.Sprintf("it speaks cleartext, and %s takes TLS", next.at)}}
	}
	return nil
}

// secure says whether TLS ends on the way.
func (w way) secure() bool { return slices.ContainsFunc(w, func(h hop) bool { return h.from.secure }) }

// disagree says what a broken handshake is, once the files have told.
func (c *Check) disagree() {
	if c.Code != codeProxy {
		c.Code = codeProxy
		c.Why = "behind the listener that clients reach one side speaks PROXY and the other does not, or another version: who wants a header takes the TLS handshake for a broken one, and who wants none takes the header for a broken handshake"
		c.Fix = "have both sides agree: the same version, or none (send-proxy and send-proxy-v2 in HAProxy, proxy_protocol in nginx, proxyProtocol in edge.yaml)"
	}
}

// fits says whether a program takes the PROXY header that another one sends.
func fits(sends, wants string) bool { return sends == wants || sends != "" && wants == anyHeader }

// anyHeader is what programs ask for that take both versions.
const anyHeader = "any"

func header(version string) string {
	switch version {
	case "":
		return "no PROXY header"
	case anyHeader:
		return "a PROXY header"
	default:
		return "a PROXY header " + version
	}
}

func transport(secure bool) string {
	if secure {
		return "TLS"
	}
	return "cleartext"
}
