package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/mem"

	"kasgen/runtime/kas/wire"
	"kasgen/runtime/readahead"
	"kasgen/runtime/sniff"
)

// lastWords is how long a client has to take what is left for it, and to
// close, once the cluster has ended a stream. Closing at once would lose it: a
// client that still sends, and kubectl pings each five seconds, is answered
// with a reset, which drops what it has not received.
const lastWords = 30 * time.Second

// stream is an upgraded connection: client on one side, tunnel on the other.
type stream struct {
	*exchange
	conn  net.Conn
	early []byte        // sent by the client before the 101
	ended chan struct{} // closed by end when the agent's direction has ended
	once  sync.Once
	wrote atomic.Int64 // begun and finished writes to the client: odd while one is under way

	deadline time.Time // when down moved the deadline of writes last
}

// run carries bytes both ways until both directions have ended.
func (s *stream) run() {
	defer s.conn.Close()
	defer context.AfterFunc(s.proxy.ctx, func() { s.tunnel.Finish(errStopping); s.conn.Close() })()
	up := make(chan struct{})
	go func() {
		defer close(up)
		s.up()
	}()
	s.down()
	s.end()
	defer time.AfterFunc(lastWords, func() { s.conn.Close() }).Stop()
	<-up
}

var errStopping = errors.New("kas is stopping")

func (s *stream) end() { s.once.Do(func() { close(s.ended) }) }

// down carries bytes from the agent to the client until the agent ends.
func (s *stream) down() {
	s.tunnel.CutThrough(s.direct())
	var f wire.Frame
	for {
		err := s.answer.next(&f)
		if errors.Is(err, io.EOF) {
			s.end() // first, so that up takes the tunnel's end for what it is
			s.tunnel.Finish(nil)
			if err := sniff.CloseWrite(s.conn); err != nil {
				s.proxy.Log.Debug("closing towards the client of an upgraded stream", "error", err)
				s.conn.Close()
			}
			return
		}
		if err == nil {
			err = s.write(&f)
			f.Free()
		}
		if err != nil {
			s.proxy.Log.Debug("an upgraded stream broke off", "error", err)
			s.tunnel.Finish(err)
			s.conn.Close()
			return
		}
	}
}

func (s *stream) write(f *wire.Frame) error {
	if err := s.moveDeadline(); err != nil {
		return err
	}
	s.wrote.Add(1)
	defer s.wrote.Add(1)
	return s.proxy.writeFrame(s.conn, f)
}

func (s *stream) moveDeadline() error {
	// Moving a deadline costs as much as a small write, so it is not moved for
	// each one: a write has between three quarters of the limit and all of it.
	if now := time.Now(); now.Sub(s.deadline) > writeLimit/4 {
		if err := s.conn.SetWriteDeadline(now.Add(writeLimit)); err != nil {
			return err
		}
		s.deadline = now
	}
	return nil
}

// up carries bytes from the client to the agent until the client ends, and
// throws away what comes once the agent has ended.
func (s *stream) up() {
	err := s.sendAll()
	select {
	case <-s.ended:
		if s.conn.SetReadDeadline(time.Time{}) == nil {
			_, _ = io.Copy(io.Discard, s.conn) // ends when the client closes, or by lastWords
		}
		return
	default:
	}
	if err == nil {
		err = s.linger()
	}
	if err != nil {
		s.tunnel.Finish(err)
		// A reset, not an end: if the client is there after all, it must not
		// take what it has for all there was.
		sniff.Reset(s.conn)
	}
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
			return errStopping
		case <-tick.C:
		}
		now := s.wrote.Load()
		if now == last && now%2 == 0 {
			return errClientGone
		}
		last = now
	}
}
