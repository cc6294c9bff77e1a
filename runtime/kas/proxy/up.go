package proxy

import (
	"context"
	"errors"
	"io"
	"os"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"kasgen/runtime/kas/wire"
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
	for {
		if err := s.idleRead(); err != nil {
			return ended(err)
		}
		if err := s.busyRead(); err != nil {
			return ended(err)
		}
	}
}

func ended(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// An idle stream waits with a small buffer, a busy one with a large one, which
// it gives back after busyFor without a byte. Most streams are idle: a shell at
// its prompt, a forwarded port that nobody uses.
const (
	idleBuffer = 512
	busyFor    = 500 * time.Millisecond
)

// idleRead waits for the next bytes and sends them.
func (s *stream) idleRead() error {
	buf := make([]byte, idleBuffer)
	n, err := s.conn.Read(buf)
	if n > 0 {
		// The message may leave after this returns, so it keeps buf.
		if err := s.sendChunk(mem.SliceBuffer(buf[:n])); err != nil {
			return err
		}
	}
	return err
}

// busyRead sends what comes until nothing has come for a while.
func (s *stream) busyRead() error {
	var err error
	for err == nil {
		if err = s.conn.SetReadDeadline(time.Now().Add(busyFor)); err != nil {
			return err
		}
		// One deadline serves many reads: a timer for each would cost more
		// than the read.
		for range 64 {
			buf := s.proxy.pool.Get(chunkSize)
			var n int
			n, err = s.conn.Read(*buf)
			if n == 0 {
				s.proxy.pool.Put(buf)
			} else {
				*buf = (*buf)[:n]
				if err := s.sendChunk(mem.NewBuffer(buf, s.proxy.pool)); err != nil {
					return err
				}
			}
			if err != nil {
				break
			}
		}
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return s.conn.SetReadDeadline(time.Time{})
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
