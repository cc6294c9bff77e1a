package proxy

import (
	"net/http"
	"net/textproto"
	"strings"

	"kasgen/internal/kasrpc/prototool"
)

// hopByHop are headers of one connection, not of the request (RFC 9110,
// section 7.6.1).
var hopByHop = [...]string{"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate",
	"Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// ours are headers that are for kas: credentials and their kin.
var ours = [...]string{"Authorization", "Cookie", "Gitlab-Agent-Id", "X-Csrf-Token", "Host"}

// cors are response headers that a cluster has no say in.
var corsHeaders = [...]string{"Access-Control-Allow-Origin", "Access-Control-Allow-Credentials",
	"Access-Control-Allow-Headers", "Access-Control-Allow-Methods", "Access-Control-Max-Age"}

// outgoing is the request's header as the agent gets it: canonical names,
// without what is for this connection or for kas.
func (p *Proxy) outgoing(h http.Header, upgrade string) map[string]*prototool.Values {
	out := make(map[string]*prototool.Values, len(h)+2)
	for name, values := range h {
		out[name] = &prototool.Values{Value: values}
	}
	dropHop(h, func(name string) { delete(out, name) })
	for _, name := range ours {
		delete(out, name)
	}
	if upgrade != "" {
		// The agent recognises an upgrade by these two keys, to the letter.
		out["Upgrade"] = &prototool.Values{Value: []string{upgrade}}
		out["Connection"] = &prototool.Values{Value: []string{"upgrade"}}
	}
	via := append(append([]string(nil), h["Via"]...), "gRPC/1.0 gitlab-kas/kasgen-"+p.Version)
	out["Via"] = &prototool.Values{Value: via}
	return out
}

// dropHop calls drop for every hop-by-hop header, those that Connection names
// included.
func dropHop(h http.Header, drop func(string)) {
	for _, v := range h["Connection"] {
		for name := range strings.SplitSeq(v, ",") {
			drop(textproto.CanonicalMIMEHeaderKey(textproto.TrimString(name)))
		}
	}
	for _, name := range hopByHop {
		drop(name)
	}
}

// incoming adds the cluster's response headers to w's.
func (p *Proxy) incoming(w http.Header, response *prototool.HttpResponse) {
	h := make(http.Header, len(response.GetHeader()))
	for name, values := range response.GetHeader() {
		h[textproto.CanonicalMIMEHeaderKey(name)] = values.GetValue()
	}
	dropHop(h, h.Del)
	for _, name := range corsHeaders {
		h.Del(name)
	}
	for name, values := range h {
		switch _, set := w[name]; {
		case name == "Vary":
			w[name] = append(w[name], values...)
		case !set:
			w[name] = values
		}
	}
	w.Add("Via", "gRPC/1.0 gitlab-kas/kasgen-"+p.Version)
}

// cors answers for origins. It reports whether the request goes on.
func (p *Proxy) cors(w http.ResponseWriter, r *http.Request) bool {
	if origins := r.Header["Origin"]; len(origins) > 0 {
		if p.Origin == "" || len(origins) != 1 || origins[0] != p.Origin {
			p.metrics.answered(http.StatusForbidden)
			w.WriteHeader(http.StatusForbidden)
			return false
		}
		w.Header().Set("Access-Control-Allow-Origin", p.Origin)
		w.Header().Set("Access-Control-Allow-Credentials", "true")
		w.Header().Set("Vary", "Origin")
	}
	if r.Method != http.MethodOptions {
		return true
	}
	if asked := r.Header["Access-Control-Request-Headers"]; len(asked) > 0 {
		w.Header()["Access-Control-Allow-Headers"] = asked
	}
	w.Header().Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, DELETE, CONNECT, OPTIONS, TRACE, PATCH")
	w.Header().Set("Access-Control-Max-Age", "86400")
	p.metrics.answered(http.StatusOK)
	w.WriteHeader(http.StatusOK)
	return false
}
