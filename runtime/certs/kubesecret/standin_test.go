package kubesecret

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"
)

// standIn is as much of an API server as the cache asks for: objects with
// resourceVersions, conflicts and merge patches. The real one judges in
// scenarios, with the tag e2e.
type standIn struct {
	*httptest.Server
	mu      sync.Mutex
	objects map[string]map[string]any // by path
	version int
	reads   int
	front   func(http.ResponseWriter, *http.Request) bool // true: it has answered
}

func newStandIn(t *testing.T) *standIn {
	t.Helper()
	s := &standIn{objects: map[string]map[string]any{}}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *standIn) config() *rest.Config { return &rest.Config{Host: s.URL} }

func (s *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.front != nil && s.front(w, r) {
		return
	}
	body := map[string]any{}
	if data, err := io.ReadAll(r.Body); err == nil && len(data) > 0 {
		if err := json.Unmarshal(data, &body); err != nil {
			status(w, http.StatusBadRequest, "BadRequest")
			return
		}
	}
	there := s.objects[r.URL.Path]
	switch r.Method {
	case http.MethodGet:
		if strings.Contains(r.URL.Path, "/secrets/") {
			s.reads++
		}
		if there == nil {
			status(w, http.StatusNotFound, "NotFound")
			return
		}
		reply(w, there)
	case http.MethodPost:
		path := r.URL.Path + "/" + metadata(body)["name"].(string)
		if s.objects[path] != nil {
			status(w, http.StatusConflict, "AlreadyExists")
			return
		}
		reply(w, s.store(path, body))
	case http.MethodPut:
		switch {
		case there == nil:
			status(w, http.StatusNotFound, "NotFound")
		case metadata(there)["resourceVersion"] != metadata(body)["resourceVersion"]:
			status(w, http.StatusConflict, "Conflict")
		default:
			reply(w, s.store(r.URL.Path, body))
		}
	case http.MethodPatch:
		if there == nil {
			status(w, http.StatusNotFound, "NotFound")
			return
		}
		data, _ := there["data"].(map[string]any)
		if data == nil {
			data = map[string]any{}
		}
		for k, v := range body["data"].(map[string]any) {
			if data[k] = v; v == nil {
				delete(data, k)
			}
		}
		there["data"] = data
		reply(w, s.store(r.URL.Path, there))
	}
}

func (s *standIn) store(path string, o map[string]any) map[string]any {
	s.version++
	metadata(o)["resourceVersion"] = strconv.Itoa(s.version)
	s.objects[path] = o
	return o
}

func metadata(o map[string]any) map[string]any { return o["metadata"].(map[string]any) }

func reply(w http.ResponseWriter, o any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(o) // the client sees what is missing
}

func status(w http.ResponseWriter, code int, reason string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code})
}

// lease is the one of a lock, nil if there is none.
func (s *standIn) lease(name string) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.objects["/apis/coordination.k8s.io/v1/namespaces/gitlab/leases/"+name]
}
