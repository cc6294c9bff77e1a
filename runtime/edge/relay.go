package edge

import (
	"context"
	"io"
	"net"
	"sync"

	"kasgen/runtime/inflight"
	"kasgen/runtime/sniff"
)

// relays are connections joined end to end.
type relays struct {
	mu    sync.Mutex
	conns map[net.Conn]struct{}
	work  inflight.Group
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
		other.Go(func() { oneWay(server, client) })
		oneWay(client, server)
		other.Wait()
		client.Close()
		server.Close()
		r.mu.Lock()
		delete(r.conns, client)
		r.mu.Unlock()
	}()
}

// oneWay copies from one connection to another. Cleartext on both sides stays
// out of user space: io.Copy splices between TCP connections.
func oneWay(to, from net.Conn) {
	head, below := sniff.Unread(from)
	_, err := to.Write(head)
	if err == nil {
		_, toBelow := sniff.Unread(to)
		_, err = io.Copy(toBelow, below)
	}
	if err == nil {
		err = sniff.CloseWrite(to)
	}
	if err != nil {
		// One direction failed: the other has nobody to talk to.
		to.Close()
		from.Close()
	}
}

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
