package cluster

import (
	"net/http"
	"strings"
)

// target is what a path below /api/v1 names.
type target struct {
	resource    string
	namespace   string
	name        string
	subresource string
}

// parseTarget reads the part of a path after /api/v1/.
func parseTarget(path string) (target, bool) {
	parts := strings.Split(strings.TrimSuffix(path, "/"), "/")
	for _, p := range parts {
		if p == "" {
			return target{}, false
		}
	}
	var t target
	if parts[0] == "namespaces" && len(parts) >= 3 {
		t.namespace, parts = parts[1], parts[2:]
	}
	if len(parts) > 3 {
		return target{}, false
	}
	parts = append(parts, "", "")
	t.resource, t.name, t.subresource = parts[0], parts[1], parts[2]
	return t, true
}

func (a *apiServer) route(w http.ResponseWriter, r *http.Request, as Identity) {
	path := r.URL.Path
	switch {
	case path == "/healthz", path == "/livez", path == "/readyz":
		_, _ = w.Write([]byte("ok"))
	case path == "/apis/authentication.k8s.io/v1/selfsubjectreviews":
		a.review(w, r, as)
	case strings.HasPrefix(path, "/api/v1/"):
		t, ok := parseTarget(strings.TrimPrefix(path, "/api/v1/"))
		if !ok {
			writeStatus(w, errNotServed())
			return
		}
		a.serve(w, r, t)
	default:
		a.discover(w, r)
	}
}

func (a *apiServer) serve(w http.ResponseWriter, r *http.Request, t target) {
	kind, ok := kinds[t.resource]
	// A namespaced object has no address without its namespace, and the other
	// way round.
	if !ok || (t.name != "" || !kind.namespaced) && kind.namespaced != (t.namespace != "") {
		writeStatus(w, errNotServed())
		return
	}
	if t.subresource != "" {
		a.serveSubresource(w, r, t)
		return
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		switch {
		case isTrue(r, "watch"):
			a.watch(w, r, t)
		case t.name == "":
			a.list(w, r, t)
		default:
			a.get(w, r, t)
		}
		return
	}
	if kind.writable(r.Method, t.name != "") {
		a.write(w, r, t)
		return
	}
	writeStatus(w, errMethod(r, t.resource))
}

func (a *apiServer) serveSubresource(w http.ResponseWriter, r *http.Request, t target) {
	if t.resource != "pods" {
		writeStatus(w, errNotServed())
		return
	}
	if _, err := a.store.get(t); err != nil {
		writeStatus(w, err)
		return
	}
	stream := r.Method == http.MethodGet || r.Method == http.MethodPost
	switch {
	case t.subresource == "log" && r.Method == http.MethodGet:
		a.logs(w, r)
	case t.subresource == "exec" && stream:
		a.stream(w, r, execStream)
	case t.subresource == "attach" && stream:
		a.stream(w, r, attachStream)
	case t.subresource == "portforward" && stream:
		a.stream(w, r, forwardStream)
	case t.subresource == "log", t.subresource == "exec", t.subresource == "attach", t.subresource == "portforward":
		writeStatus(w, errMethod(r, "pods/"+t.subresource))
	default:
		writeStatus(w, errNotServed())
	}
}

// isTrue reads a flag as Kubernetes does: present without a value is true.
func isTrue(r *http.Request, name string) bool {
	values, ok := r.URL.Query()[name]
	if !ok {
		return false
	}
	switch strings.ToLower(values[0]) {
	case "false", "0":
		return false
	}
	return true
}
