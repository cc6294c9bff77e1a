package balancer

import (
	"context"
	"errors"
	"time"
)

// check probes p until ctx ends. A peer starts up; Fall failures in a row
// take it down, Rise successes bring it back.
func (s *Server) check(ctx context.Context, pool *Pool, p *peer) {
	up, streak := true, 0
	// The first probe comes at once, as HAProxy's does for the first server.
	for wait := time.Duration(0); sleep(ctx, wait); {
		err := s.probe(ctx, p)
		if ctx.Err() != nil {
			return
		}
		if (err == nil) == up {
			streak = 0
		} else {
			streak++
		}
		if needed := p.Check.Fall; up && streak >= needed || !up && streak >= p.Check.Rise {
			up, streak = !up, 0
			pool.setUp(p, up)
			s.log.Warn("server changed", "backend", pool.Name, "server", p.Name, "address", p.Address, "up", up, "error", err)
		}
		wait = p.Check.interval(up, streak > 0)
	}
}

func (c *Check) interval(up, changing bool) time.Duration {
	switch {
	case changing && c.FastInter > 0:
		return c.FastInter
	case !up && !changing && c.DownInter > 0:
		return c.DownInter
	default:
		return c.Inter
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
