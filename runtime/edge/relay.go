package edge

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"

	"kasgen/runtime/inflight"
	"kasgen/runtime/readahead"
	"kasgen/runtime/sniff"
)

// relays are connections joined end to end.
type relays struct {
	mu    sync.Mutex
	conns map[net.Conn]struct{}
	work  inflight.Group
	pool  readahead.Pool
}

// join copies both ways until both have ended; the end of one direction is
// passed on as such. It returns at once and owns both connections.
func (r *relays) join(client, server net.Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conns == nil {
		r.conns = map[net.Conn]struct{}{}
	}
	r.conns[client] = struct{}{}
	leave := r.work.Enter()
	go func() {
		defer leave()
		var other sync.WaitGroup
		other.Go(func() { r.oneWay(server, client) })
		r.oneWay(client, server)
		other.Wait()
		client.Close()
		server.Close()
		r.mu.Lock()
		delete(r.conns, client)
		r.mu.Unlock()
	}()
}

// oneWay copies from one connection to another. Between TCP connections io.Copy
// splices, and the bytes stay out of user space.
func (r *relays) oneWay(to, from net.Conn) {
	if err := r.copy(to, from); err != nil {
		// One direction failed: the other has nobody to talk to.
		to.Close()
		from.Close()
		return
	}
	if err := sniff.CloseWrite(to); err != nil {
		from.Close()
	}
}

func (r *relays) copy(to, from net.Conn) error {
	head, below := sniff.Unread(from)
	if _, err := to.Write(head); err != nil {
		return err
	}
	toBelow := sniff.Below(to)
	_, fromTCP := below.(*net.TCPConn)
	if _, toTCP := toBelow.(*net.TCPConn); fromTCP && toTCP {
		_, err := io.Copy(toBelow, below)
		return err
	}
	if fromTCP {
		_, err := readahead.New(below, &r.pool).(io.WriterTo).WriteTo(toBelow)
		return err
	}
	err := readahead.Pump(below, chunk, &r.pool, func(b *[]byte, lent bool) error {
		_, err := toBelow.Write(*b)
		if lent {
			r.pool.Put(b)
		}
		return err
	})
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// chunk is how much is copied at once where it has to go through user space.
const chunk = 32 << 10

// drain waits for the streams until ctx is done, and ends them then.
func (r *relays) drain(ctx context.Context) {
	if r.work.Wait(ctx) == nil {
		return
	}
	r.mu.Lock()
	for c := range r.conns {
		c.Close()
	}
	r.mu.Unlock()
	_ = r.work.Wait(context.WithoutCancel(ctx)) // cannot fail
}
