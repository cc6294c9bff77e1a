package edge

import (
	"net/http"
	"slices"
	"strings"

	"kasgen/internal/edgeconf"
	"kasgen/runtime/http1"
)

// route is a path of the file with its upstream.
type route struct {
	edgeconf.Path
	prefix   string // without a trailing slash
	upstream *upstream
}

// router answers the HTTP/1.1 requests of one listener.
func (s *Server) router(conf edgeconf.Listener) http.Handler {
	var routes []route
	for _, p := range conf.Routes.Paths {
		routes = append(routes, route{Path: p, prefix: strings.TrimRight(p.Prefix, "/"), upstream: s.upstreams[p.Upstream]})
	}
	// The longest prefix wins, whatever the order in the file.
	slices.SortStableFunc(routes, func(a, b route) int { return len(b.prefix) - len(a.prefix) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "PRI" {
			w.Header().Set("Connection", "close")
			fail(w, http.StatusBadRequest, "the connection begins almost, but not quite, like HTTP/2 (RFC 9113, section 3.4)")
			return
		}
		for i := range routes {
			if routes[i].matches(r.URL.Path) {
				routes[i].serve(w, r)
				return
			}
		}
		fail(w, http.StatusNotFound, "nothing is served on this path")
	})
}

func (t *route) matches(path string) bool {
	rest, ok := strings.CutPrefix(path, t.prefix)
	return ok && (rest == "" || rest[0] == '/')
}

func (t *route) serve(w http.ResponseWriter, r *http.Request) {
	token, err := http1.Upgrade(r)
	switch {
	case err != nil:
		fail(w, http.StatusBadRequest, err.Error())
	case token == "" && t.UpgradeOnly:
		fail(w, http.StatusUpgradeRequired, "only connections that upgrade to "+strings.Join(t.Upgrades, " or ")+" are served on this path; a proxy on the way may have removed the Upgrade header")
	case token != "" && !t.allows(token):
		fail(w, http.StatusBadRequest, "an upgrade to "+token+" is not possible on this path")
	default:
		if t.Strip {
			if r = t.strip(r); r == nil {
				fail(w, http.StatusNotFound, "the path begins with "+t.prefix+" in other words: write it without percent signs")
				return
			}
		}
		t.upstream.serve(w, r, token)
	}
}

// strip is r below the prefix, or nil where it is escaped in the path as the
// client wrote it: what is left could not be told from it.
func (t *route) strip(r *http.Request) *http.Request {
	rest, ok := strings.CutPrefix(r.URL.EscapedPath(), t.prefix)
	if !ok {
		return nil
	}
	below, address := *r, *r.URL
	address.Path, address.RawPath = strings.TrimPrefix(address.Path, t.prefix), rest
	if rest == "" {
		address.Path, address.RawPath = "/", ""
	}
	below.URL = &address
	return &below
}

func (t *route) allows(token string) bool {
	return slices.ContainsFunc(t.Upgrades, func(u string) bool { return strings.EqualFold(u, token) })
}

// fail answers what the edge itself refuses.
func fail(w http.ResponseWriter, code int, message string) {
	http.Error(w, "kasgen edge: "+message, code)
}
