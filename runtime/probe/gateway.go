package probe

import (
	"fmt"
	"net/http"
	"strings"
)

// gateway explains answers of a front that does not get as far as kas; ok is
// false for any other answer.
func gateway(what string, a *answer) (Check, bool) {
	if a.wantsTLS() {
		return cleartextToTLS(what, a), true
	}
	observed := what + " is answered " + a.String()
	switch a.status {
	case http.StatusBadGateway:
		return failed(codeGateway, observed, "the front reaches nobody at its backend's address, or does not understand the answer (`expected handshake response status code 101 but got 502`)",
			"start kas; compare the front's upstream with the listeners of kas-config.yaml (8150 for agents, 8154 for the Kubernetes API), http with https, the CA that the front trusts with who signed kas's certificate, and HTTP/1.1 with HTTP/2"), true
	case http.StatusServiceUnavailable:
		return failed(codeGateway, observed, "the front takes every backend for dead, or does not understand it", "start kas; compare the front's backend with the listeners of kas-config.yaml: TLS (`ssl` on HAProxy's server) with cleartext, and HTTP/1.1 with HTTP/2; look at the front's health checks: kas answers GET /liveness and /readiness on 8151 only, and 426 on 8150"), true
	case http.StatusGatewayTimeout:
		return failed(codeGateway, observed, "the front waits for kas and gives up", "look at firewalls between the front and kas, and at its read limit"), true
	case http.StatusMisdirectedRequest:
		return failed(codeNotKAS, observed, "the front does not serve this name", "serve it (server_name), or correct the name"), true
	default:
		return Check{}, false
	}
}

// wantsTLS says whether the answer is what a listener that has TLS says to who
// speaks cleartext to it: Go's net/http, and so kas, or nginx. Nobody says it to
// a client of the probe, all of whom come by TLS.
func (a *answer) wantsTLS() bool {
	return a.status == http.StatusBadRequest &&
		(strings.Contains(a.body, "Client sent an HTTP request to an HTTPS server") || strings.Contains(a.body, "The plain HTTP request was sent to HTTPS port"))
}

// speakTLS is what to do about it.
const speakTLS = "speak TLS to kas: proxy_pass https:// and grpc_pass grpcs:// in nginx, `ssl` with a ca-file on HAProxy's server line, tls of the upstream in edge.yaml; or take certificate_file and key_file away from that listener of kas-config.yaml"

// cleartextToTLS explains that answer.
func cleartextToTLS(what string, a *answer) Check {
	return failed(codeGateway, what+" is answered "+a.String(), "cleartext is spoken to a listener that has TLS: the front, or a proxy behind it, does not speak TLS to kas", speakTLS).because(causeToTLS)
}

// agentToTLS explains that answer to a request with credentials: without them
// the same path has led to kas, and so it is given behind kas.
func agentToTLS(what string, a *answer) Check {
	return failed(codeDenied, what+" is answered "+a.String(), "behind kas: the agent speaks http to the cluster's API, which has TLS",
		"give the agent an https address of the API: server in its kubeconfig, or of the proxy between the two")
}

// notKAS explains an answer of somebody else.
func notKAS(what string, a *answer) Check {
	observed := what + " is answered " + a.String()
	switch {
	case a.status >= 300 && a.status < 400:
		return redirected(what, a)
	case a.status == http.StatusNotFound:
		return failed(codeNotKAS, observed, "the front has no route for this path, or the backend is not kas",
			"add a location or route for the path to kas, or correct the path that was asked for")
	case a.status == http.StatusForbidden:
		return failed(codeNotKAS, observed, "somebody before kas refuses it: a firewall for applications, or an access list", "let the path pass there")
	default:
		return failed(codeNotKAS, observed, "kas would answer otherwise: another server, or another name's virtual host, stands there",
			"look at which server takes the name and the path; in nginx, at server_name and default_server")
	}
}

// replaced says that the front put its own page in the place of kas's answer.
func replaced(what string, a *answer) Check {
	return failed(codeErrorPage, fmt.Sprintf("%s is answered %s", what, a),
		"kas's answers of 400 and more are Kubernetes' v1 Status, which kubectl prints; the front puts a page of its own in their place",
		"take proxy_intercept_errors and error_page (nginx), or errorfile (HAProxy) away from the locations of kas")
}
