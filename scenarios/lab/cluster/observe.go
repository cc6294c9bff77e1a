package cluster

import (
	"net/http"
	"net/url"
	"strings"
)

// Observed is what the API server saw of one request, and what it made of it.
type Observed struct {
	UserAgent string
	Method    string
	Path      string
	Query     string
	Status    int
	// Protocol is what the connection was switched to: "SPDY/3.1",
	// "websocket" or "". Clients fall back without a word: only this side
	// knows what was spoken.
	Protocol string
	// Subprotocol is what was agreed on within it, as v5.channel.k8s.io.
	Subprotocol string
	Impersonate Identity
}

// Identity is a user as Kubernetes knows one.
type Identity struct {
	User   string
	UID    string
	Groups []string
	Extra  map[string][]string
}

func observed(r *http.Request, status int, answer http.Header) Observed {
	o := Observed{
		UserAgent: r.UserAgent(), Method: r.Method, Path: r.URL.Path, Query: r.URL.RawQuery,
		Status: status, Impersonate: impersonated(r.Header),
	}
	if status == http.StatusSwitchingProtocols {
		o.Protocol = answer.Get("Upgrade")
		o.Subprotocol = answer.Get("Sec-Websocket-Protocol")
		if o.Subprotocol == "" {
			o.Subprotocol = answer.Get("X-Stream-Protocol-Version")
		}
	}
	return o
}

const extraPrefix = "Impersonate-Extra-"

// impersonated reads the Impersonate headers.
func impersonated(h http.Header) Identity {
	id := Identity{
		User: h.Get("Impersonate-User"), UID: h.Get("Impersonate-Uid"),
		Groups: append([]string(nil), h["Impersonate-Group"]...),
	}
	for name, values := range h {
		key, ok := strings.CutPrefix(name, extraPrefix)
		if !ok {
			continue
		}
		// Keys are case-insensitive as header names are, and percent-encoded
		// because they may hold a slash, as GitLab's do.
		key = strings.ToLower(key)
		if plain, err := url.PathUnescape(key); err == nil {
			key = plain
		}
		if id.Extra == nil {
			id.Extra = map[string][]string{}
		}
		id.Extra[key] = append([]string(nil), values...)
	}
	return id
}

func (i Identity) empty() bool {
	return i.User == "" && i.UID == "" && len(i.Groups) == 0 && len(i.Extra) == 0
}

// dropCredentials removes what must not travel on to the node.
func dropCredentials(h http.Header) {
	h.Del("Authorization")
	for name := range h {
		if strings.HasPrefix(name, "Impersonate-") {
			delete(h, name)
		}
	}
}
