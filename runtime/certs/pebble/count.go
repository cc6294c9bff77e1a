package pebble

import "net/http"

// ordering is where the directory sends clients for a new order. Pebble has a
// path of its own, which it does not export.
const ordering = "/order-plz"

// Orders is how many orders have been placed.
func (s *Server) Orders() int { return int(s.orders.Load()) }

func (s *Server) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != ordering {
			next.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(&placed{w, s}, r)
	})
}

// placed counts answers that say that an order was made.
type placed struct {
	http.ResponseWriter
	s *Server
}

func (p *placed) WriteHeader(status int) {
	if status == http.StatusCreated {
		p.s.orders.Add(1)
	}
	p.ResponseWriter.WriteHeader(status)
}
