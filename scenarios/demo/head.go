package demo

import (
	"net/http"
	"sync/atomic"
	"time"
)

// heads measures how long the heads of answers take. A front may hold one back
// until the body begins, which no event of a watch shows.
type heads struct{ slowest atomic.Int64 } // nanoseconds

// wrap has transport measured.
func (h *heads) wrap(transport http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		began := time.Now()
		resp, err := transport.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		took := int64(time.Since(began))
		for was := h.slowest.Load(); took > was && !h.slowest.CompareAndSwap(was, took); was = h.slowest.Load() {
		}
		return resp, nil
	})
}

// ms is the slowest of them, 0 if there was none.
func (h *heads) ms() int64 { return time.Duration(h.slowest.Load()).Milliseconds() }

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
