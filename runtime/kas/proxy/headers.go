package proxy

import (
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"kasgen/internal/kasrpc/prototool"
)

// hopByHop are headers of one connection, not of the request (RFC 9110,
// section 7.6.1).
var hopByHop = [...]string{"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate",
	"Proxy-Authorization", "Te", "Trailer", "Transfer-Encoding", "Upgrade"}

// ours are headers that are for kas: credentials and their kin.
var ours = [...]string{"Authorization", "Cookie", agentHeader, csrfHeader, "Host"}

// answerHeaders are the headers of a cluster's answer that pass, beside those
// that begin with kubernetesHeader. Others do not: the browser takes an answer
// for one of kas's own site, and whoever runs an agent could otherwise set
// cookies there, or policies. GitLab's kas does so from 18.3.
var answerHeaders = [...]string{"Accept-Ranges", "Age", "Allow", "Audit-Id", "Cache-Control", "Content-Disposition",
	"Content-Encoding", "Content-Language", "Content-Length", "Content-Range", "Content-Type", "Date", "Deprecation",
	"Etag", "Expires", "Last-Modified", "Link", "Location", "Pragma", "Retry-After", "Sec-Websocket-Accept",
	"Sec-Websocket-Extensions", "Sec-Websocket-Protocol", "Sec-Websocket-Version", "Sunset", "Vary", "Via", "Warning",
	"X-Accepted-Stream-Protocol-Versions", "X-Content-Type-Options", "X-Request-Id", "X-Stream-Protocol-Version"}

const kubernetesHeader = "X-Kubernetes-"

// neverHeaders do not pass though the configuration names them: they are of one
// connection, or kas's own word.
var neverHeaders = [...]string{"Access-Control-Allow-Origin", "Access-Control-Allow-Credentials",
	"Access-Control-Allow-Headers", "Access-Control-Allow-Methods", "Access-Control-Max-Age", "Gitlab-Unauthorized"}

// passing are the headers of answers that pass, extra ones included.
func passing(extra []string) map[string]bool {
	pass := make(map[string]bool, len(answerHeaders)+len(extra))
	for _, name := range answerHeaders {
		pass[name] = true
	}
	for _, name := range extra {
		pass[textproto.CanonicalMIMEHeaderKey(name)] = true
	}
	for _, name := range hopByHop {
		delete(pass, name)
	}
	for _, name := range neverHeaders {
		delete(pass, name)
	}
	return pass
}

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
	if values := h[subprotocols]; len(values) > 0 {
		if values = withoutToken(values); len(values) > 0 {
			out[subprotocols] = &prototool.Values{Value: values}
		} else {
			delete(out, subprotocols)
		}
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
	named := hopOf(response)
	for name, v := range response.GetHeader() {
		name = textproto.CanonicalMIMEHeaderKey(name)
		if !p.passing[name] && !strings.HasPrefix(name, kubernetesHeader) || slices.Contains(named, name) {
			p.Log.Debug("a header of an answer does not pass", "header", name)
			continue
		}
		switch _, set := w[name]; {
		case name == "Vary":
			w[name] = append(w[name], v.GetValue()...)
		case !set:
			w[name] = v.GetValue()
		}
	}
	w.Add("Via", "gRPC/1.0 gitlab-kas/kasgen-"+p.Version)
}

// hopOf are the headers that an answer's Connection header names.
func hopOf(response *prototool.HttpResponse) []string {
	var names []string
	for _, v := range response.GetHeader()["Connection"].GetValue() {
		for name := range strings.SplitSeq(v, ",") {
			names = append(names, textproto.CanonicalMIMEHeaderKey(textproto.TrimString(name)))
		}
	}
	return names
}

// OriginOf is the origin, as browsers write it, of pages at a URL (RFC 6454,
// section 6.2); "" if it has none.
func OriginOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return ""
	}
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	for s, port := range map[string]string{"http": ":80", "https": ":443"} {
		if s == scheme {
			host = strings.TrimSuffix(host, port)
		}
	}
	return scheme + "://" + host
}

// cors answers for origins. It reports whether the request goes on.
func (p *Proxy) cors(w http.ResponseWriter, r *http.Request) bool {
	if origins := r.Header["Origin"]; len(origins) > 0 {
		if p.Origin == "" || len(origins) != 1 || origins[0] != p.Origin {
			p.fail(w, r, http.StatusForbidden, "Forbidden: pages of this origin may not use this kas, only those of gitlab.external_url in its configuration", nil)
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
