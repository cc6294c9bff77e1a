package balancer

import (
	"context"
	"errors"
	"time"
)

// check probes p until ctx ends. A peer starts up; Fall failures in a row
// take it down, Rise successes bring it back. As HAProxy has it, one that has
// passed no probe so far is down at the first failure.
func (s *Server) check(ctx context.Context, pool *Pool, p *peer) {
	h := p.Check.start()
	// The first probe comes at once, as HAProxy's does for the first server.
	for wait := time.Duration(0); sleep(ctx, wait); {
		err := s.probe(ctx, p)
		if ctx.Err() != nil {
			return
		}
		was := h.up()
		if h.saw(err == nil); h.up() != was {
			pool.setUp(p, h.up())
			s.log.Warn("server changed", "backend", pool.Name, "server", p.Name, "address", p.Address, "up", h.up(), "error", err)
		}
		wait = h.interval()
	}
}

// health is a peer's as HAProxy counts it: 0 is down, rise+fall-1 is up, and what
// is between is on its way to the other.
type health struct {
	*Check
	n int
}

func (c *Check) start() health { return health{c, c.Rise} }

func (h *health) up() bool { return h.n >= h.Rise }

func (h *health) full() int { return h.Rise + h.Fall - 1 }

// saw counts a probe.
func (h *health) saw(passed bool) {
	switch {
	case passed && h.n+1 >= h.Rise:
		h.n = h.full()
	case passed:
		h.n++
	case h.n-1 < h.Rise:
		h.n = 0
	default:
		h.n--
	}
}

func (h *health) interval() time.Duration {
	switch {
	case h.n != 0 && h.n != h.full() && h.FastInter > 0:
		return h.FastInter
	case h.n == 0 && h.DownInter > 0:
		return h.DownInter
	default:
		return h.Inter
	}
}

func (s *Server) probe(ctx context.Context, p *peer) error {
	ctx, cancel := context.WithTimeout(ctx, p.Check.Timeout)
	defer cancel()
	raw, err := s.host.Dial(ctx, "tcp", p.Address)
	if err != nil {
		return err
	}
	version := 0
	if p.Check.SendProxy {
		version = p.SendProxy
	}
	_, err = s.greet(ctx, raw, p.Peer, version, proxyHeader{})
	return errors.Join(err, raw.Close())
}
