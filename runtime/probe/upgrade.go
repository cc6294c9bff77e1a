package probe

import (
	"context"
	"fmt"
	"net/http"
	"strings"
)

// upgrading is one way in which kubectl upgrades a connection.
type upgrading struct {
	name   string // kubectl's word
	method string // of exec
	header func(subprotocol string) [][2]string
	// exec and portforward are the subprotocols.
	exec, portForward string
}

// What kubectl speaks: WebSocket by default from 1.31, and SPDY.
var (
	webSocketUpgrade = upgrading{"WebSocket", http.MethodGet, webSocketHeader, "v5.channel.k8s.io", "SPDY/3.1+portforward.k8s.io"}
	spdyUpgrade      = upgrading{"SPDY/3.1", http.MethodPost, spdyHeader, "v4.channel.k8s.io", "portforward.k8s.io"}
)

func spdyHeader(subprotocol string) [][2]string {
	return [][2]string{{"Connection", "Upgrade"}, {"Upgrade", "SPDY/3.1"}, {"X-Stream-Protocol-Version", subprotocol}}
}

// Paths of a pod that is not there: without credentials nobody looks for it.
const (
	nobodysExec    = "api/v1/namespaces/default/pods/kasgen-probe/exec?command=true&stdout=true"
	nobodysForward = "api/v1/namespaces/default/pods/kasgen-probe/portforward?ports=80"
)

// checkUpgrade finds out, without credentials, whether an upgrade reaches kas.
// This kas looks at a request's form before its credentials, so that it can be
// told; GitLab's asks for credentials first, and then only a token can tell.
func (e *endpoint) checkUpgrade(u upgrading) checker {
	return func(ctx context.Context) Check {
		for _, try := range [][2]string{{nobodysExec, u.exec}, {nobodysForward, u.portForward}} {
			r := request{method: u.method, path: e.proxy + try[0], header: u.header(try[1])}
			what := "an upgrade to " + u.name + " with " + try[1]
			a, s, err := e.open(ctx, r)
			switch {
			case err != nil:
				return failed(codeUpgrade, what+" gets no answer: "+err.Error(), "kubectl hangs or breaks", "look at the front's log")
			case s != nil:
				s.Close()
				return failed(codeNotKAS, what+" is granted without credentials", "kas asks for credentials first: somebody else answers", "look at who that is; a proxy must pass the answer of the other side, not make its own")
			}
			if c, ok := u.refused(what, a); ok {
				return c
			}
		}
		return e.distinguish(ctx, u)
	}
}

// refused explains an answer other than kas's question for credentials.
func (u upgrading) refused(what string, a *answer) (Check, bool) {
	s, kas := a.kube()
	if kas && a.status == http.StatusUnauthorized {
		return Check{}, false
	}
	observed := what + " is answered " + a.String()
	const fix = "have every proxy on the way speak HTTP/1.1 to its backend and pass both headers (proxy_http_version 1.1, proxy_set_header Upgrade $http_upgrade and Connection $connection_upgrade in nginx), or put a TCP balancer in its place"
	switch {
	case strings.Contains(a.body, "over WebSocket only") || u.name != webSocketUpgrade.name && strings.Contains(a.body, "is not possible on this path"):
		return failed(codeSPDY, observed, "kubectl before 1.31, and older libraries, speak SPDY; this front refuses it with advice rather than let it hang",
			"use kubectl 1.31 or later, or topology A or B, whose TCP balancer passes SPDY").warned(), true
	case kas && a.status == http.StatusBadRequest && strings.Contains(s.Message, "Connection: upgrade without an Upgrade"):
		return failed(codeUpgrade, observed, "kubectl reports `missing upgrade headers in request`: a proxy on the way takes the Upgrade header away and leaves Connection", fix).because(causeUpHeader), true
	case kas && a.status == http.StatusBadRequest && strings.Contains(s.Message, "without Connection: upgrade"):
		return failed(codeUpgrade, observed, "a proxy on the way takes the Connection header away and leaves Upgrade", fix).because(causeConnHeader), true
	case kas && a.status == http.StatusBadRequest:
		return failed(codeUpgrade, observed, "kubectl exec, attach, cp and port-forward fail with `Upgrade request required` or `unable to upgrade connection`: a proxy on the way takes the headers Upgrade and Connection away", fix).because(causeUpgrade), true
	case a.html() && !a.wantsTLS() && (a.status == http.StatusUnauthorized || a.status == http.StatusBadRequest):
		return replaced(what, a), true
	}
	if c, ok := gateway(what, a); ok {
		return c, true
	}
	return failed(codeUpgrade, observed, "kubectl exec, attach, cp and port-forward fail", fix), true
}

// distinguish tells an upgrade that arrived from one that did not and was
// asked for credentials all the same.
func (e *endpoint) distinguish(ctx context.Context, u upgrading) Check {
	without, err := e.exchange(ctx, request{method: u.method, path: e.proxy + nobodysExec})
	if err != nil {
		return failed(codeUpgrade, "a request for exec gets no answer: "+err.Error(), "kubectl hangs or breaks", "look at the front's log")
	}
	arrived := passed("kas tells an upgrade to %s (%s, %s) from a request without", u.name, u.exec, u.portForward)
	if s, ok := without.kube(); ok && without.status == http.StatusBadRequest && strings.HasPrefix(s.Message, "kas: exec ") && !strings.HasPrefix(s.Message, "kas: exec, ") {
		return arrived
	}
	// The front may have answered that. An upgrade with a body is refused by
	// kas itself, whatever the path, and only if it arrives as an upgrade.
	odd, err := e.exchange(ctx, request{method: http.MethodPost, path: e.proxy + "version", header: u.header(u.exec), body: []byte("{}")})
	if err == nil {
		if s, ok := odd.kube(); ok && odd.status == http.StatusBadRequest && strings.Contains(s.Message, "cannot have a body") {
			if without.status == http.StatusUnauthorized {
				return failed(codePrefix, fmt.Sprintf("kas does not take %s for exec", e.proxy+nobodysExec), "the path arrives with a prefix that kas does not take away, and the cluster answers 404",
					"have the front take the prefix away (a path behind proxy_pass, as in `proxy_pass http://127.0.0.1:8154/;`), or set kubernetes_api.url_path_prefix to it")
			}
			return arrived
		}
	}
	return skipped("kas asks for credentials before it looks at the upgrade, so only a request with --token-file and --pod can tell")
}
