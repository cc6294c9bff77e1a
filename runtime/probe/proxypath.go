package probe

import (
	"context"
	"net/http"
	"strings"
)

// checkProxyPath asks without credentials, which kas refuses in its own words.
func (e *endpoint) checkProxyPath(ctx context.Context) Check {
	path := e.proxy + "version"
	a, err := e.exchange(ctx, request{method: "GET", path: path})
	what := "GET " + path + " without credentials"
	if err != nil {
		return failed(codeNotKAS, what+" gets no answer: "+err.Error(), "kubectl gets none either", "look at the front's log")
	}
	s, kas := a.kube()
	switch {
	case kas && a.status == http.StatusUnauthorized:
		return passed("kas asks for credentials: 401 %s", s.Message)
	case kas && (strings.Contains(s.Message, "does not begin with") || strings.Contains(s.Message, "prefix")):
		return failed(codePrefix, what+" is answered "+a.String(), "the front takes the prefix away before kas, and kas (kubernetes_api.url_path_prefix) wants it, or the other way round",
			"have the front pass the whole path (proxy_pass without a path), or set url_path_prefix to what arrives")
	case kas && a.status == http.StatusBadRequest:
		c, _ := webSocketUpgrade.refused(what, a) // it knows what kas says of halves of upgrades
		return c
	case a.status == http.StatusUpgradeRequired:
		return failed(codeAgentPort, what+" is answered "+a.String(), "kubectl reports `the server responded with the status code 426`: its requests go to kas's port for agents (8150)",
			"give the path a location or route of its own, before the one for agents, to kas's Kubernetes API proxy (8154)")
	case a.html() && !a.wantsTLS() && (a.status == http.StatusUnauthorized || a.status == http.StatusBadRequest):
		return replaced(what, a)
	}
	if c, ok := gateway(what, a); ok {
		return c
	}
	return notKAS(what, a)
}
