package proxy

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"kasgen/runtime/kas/wire"
	"kasgen/runtime/readahead"
)

// up carries bytes from the client to the agent. It runs on the goroutine that
// has waited for the tunnel; when it returns, the tunnel ends, and with an
// error the agent cuts its connection to the cluster.
func (s *stream) up() error {
	defer s.conn.Close()
	defer context.AfterFunc(s.proxy.ctx, func() { s.conn.Close() })()
	err := s.sendAll()
	if err == nil {
		err = s.linger()
	}
	select {
	case <-s.ended:
		return nil // the cluster ended it; that the client's side failed then is no news
	default:
	}
	if err != nil {
		return status.Error(codes.Canceled, err.Error())
	}
	<-s.ended
	return nil
}

// sendAll returns nil when the client has closed its sending direction.
func (s *stream) sendAll() error {
	for len(s.early) > 0 {
		n := min(len(s.early), chunkSize)
		if err := s.sendChunk(mem.SliceBuffer(s.early[:n])); err != nil {
			return err
		}
		s.early = s.early[n:]
	}
	s.early = nil
	pool := s.proxy.pool
	err := readahead.Pump(s.conn, chunkSize, pool, func(b *[]byte, lent bool) error {
		if lent {
			return s.sendChunk(mem.NewBuffer(b, pool))
		}
		return s.sendChunk(mem.SliceBuffer(*b))
	})
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func (s *stream) sendChunk(b mem.Buffer) error {
	return s.tunnel.Send(&wire.Chunk{Upgrade: true, Payload: b})
}

// linger forwards the half-close and lets the other direction go on as long as
// bytes come. Agents pass no half-close to a cluster, so a cluster that waits
// for one would hold the stream for ever once the client is gone.
func (s *stream) linger() error {
	if err := s.closeSend(); err != nil {
		return err
	}
	tick := time.NewTicker(s.proxy.LingerAfter)
	defer tick.Stop()
	for last := int64(-1); ; {
		select {
		case <-s.ended:
			return nil
		case <-s.proxy.ctx.Done():
			return errors.New("kas is stopping")
		case <-tick.C:
		}
		now := s.bytes.Load()
		if now == last {
			return errClientGone
		}
		last = now
	}
}
