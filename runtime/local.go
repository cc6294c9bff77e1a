package runtime

import (
	"net/http"
	"sync"

	"kasgen/runtime/edge"
	"kasgen/runtime/kas"
)

// local is kas's endpoints in this process, for an edge in it. They change when
// kas does, under an edge that goes on.
type local struct {
	mu        sync.RWMutex
	endpoints map[string]kas.Endpoint
}

// set returns when nobody begins to use the endpoints of before any more.
func (l *local) set(endpoints map[string]kas.Endpoint) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.endpoints = endpoints
}

// find is an edge.Local.
func (l *local) find(address string) (edge.Endpoint, bool) {
	l.mu.RLock()
	e, ok := l.endpoints[address]
	l.mu.RUnlock()
	if !ok {
		return edge.Endpoint{}, false
	}
	return edge.Endpoint{HTTP: l.handler(address, e), GRPC: e.GRPC}, true
}

// handler counts a request on kas before kas may think that the last one has
// come. fallback is for an address that kas has ceased to have meanwhile.
func (l *local) handler(address string, fallback kas.Endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l.mu.RLock()
		e, ok := l.endpoints[address]
		if !ok {
			e = fallback
		}
		leave := e.Enter()
		l.mu.RUnlock()
		defer leave()
		e.HTTP.ServeHTTP(w, r)
	})
}
