// Package relay joins two connections end to end, after an upgrade or where a
// connection is handed on whole. It knows nothing of what the bytes are. Its
// law: bytes pass in order and whole, between TCP connections they never enter
// user space, and the end of one direction is passed on as such.
package relay

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"kasgen/runtime/inflight"
	"kasgen/runtime/readahead"
	"kasgen/runtime/silence"
	"kasgen/runtime/sniff"
)

// Group is connections that are joined. The zero value is ready.
type Group struct {
	mu    sync.Mutex
	conns map[net.Conn]struct{}
	work  inflight.Group
	pool  readahead.Pool
}

// Options say when a relay ends before both sides have.
type Options struct {
	// Silence ends it when for that long no byte has passed, in either
	// direction. 0: never.
	Silence time.Duration
	// ClientSend and ServerSend end it when for that long one of the two has
	// taken nothing of what there is for it, and at most twice as long. 0: never.
	ClientSend, ServerSend time.Duration
	// Ends is what follows when one side has ended its direction.
	Ends Ends
	// Done is called at its end, if not nil.
	Done func()
}

// Ends is what follows when one side of a relay has ended its direction.
type Ends int

// What may follow.
const (
	Apart      Ends = iota // the other direction goes on
	Together               // both end, as nginx has it for upgraded connections
	WithServer             // both end with the server's, as HAProxy has it in mode http
)

// lingerLimit is how long a client may still send what nobody wants: a
// connection that is closed with unread bytes is reset, and what the client had
// yet to read is lost with it.
const lingerLimit = 500 * time.Millisecond

// Join copies both ways until both have ended. It returns at once and owns
// both connections.
func (g *Group) Join(client, server net.Conn, o Options) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.conns == nil {
		g.conns = map[net.Conn]struct{}{}
	}
	g.conns[client] = struct{}{}
	leave := g.work.Enter()
	r := &pair{group: g, client: client, server: server, ends: o.Ends}
	r.watch = silence.New(o.Silence, r.close)
	r.watch.Probe(kernelSilence(client, server))
	r.watch.Start()
	go func() {
		defer leave()
		var other sync.WaitGroup
		other.Go(func() { r.oneWay(server, client, o.ServerSend) })
		r.oneWay(client, server, o.ClientSend)
		other.Wait()
		r.watch.Stop()
		r.close()
		g.mu.Lock()
		delete(g.conns, client)
		g.mu.Unlock()
		if o.Done != nil {
			o.Done()
		}
	}()
}

// pair is two connections that are joined.
type pair struct {
	group          *Group
	client, server net.Conn
	ends           Ends
	watch          *silence.Watch
}

func (r *pair) close() {
	r.client.Close()
	r.server.Close()
}

// Stuck calls end when for limit the other end of c has taken nothing of what
// there is for it, and at most twice as long. Nil is no watch: there is no
// limit, or no TCP connection below c.
func Stuck(c net.Conn, limit time.Duration, end func()) *silence.Watch {
	tcp := lowest(c)
	if tcp == nil {
		return nil
	}
	w := silence.New(limit, end)
	w.Probe(kernelMoved(tcp))
	w.Start()
	return w
}

// lowest is the TCP connection below c, TLS or not.
func lowest(c net.Conn) *net.TCPConn {
	for {
		switch below := sniff.Below(c).(type) {
		case *net.TCPConn:
			return below
		case interface{ NetConn() net.Conn }:
			c = below.NetConn()
		default:
			return nil
		}
	}
}

// oneWay copies from one connection to another. Between TCP connections io.Copy
// splices, and the bytes stay out of user space.
func (r *pair) oneWay(to, from net.Conn, limit time.Duration) {
	stuck := silence.New(limit, r.close)
	err := r.copy(to, from, stuck)
	stuck.Stop()
	if err != nil {
		// One direction failed: the other has nobody to talk to.
		r.close()
		return
	}
	switch {
	case r.ends == Together:
		r.close()
	case r.ends == WithServer && from == r.server:
		if sniff.CloseWrite(to) != nil || to.SetReadDeadline(time.Now().Add(lingerLimit)) != nil {
			r.close()
			return
		}
		from.Close()
	default:
		if err := sniff.CloseWrite(to); err != nil {
			from.Close()
		}
	}
}

func (r *pair) copy(to, from net.Conn, stuck *silence.Watch) error {
	head, below := sniff.Unread(from)
	toBelow := sniff.Below(to)
	_, fromTCP := below.(*net.TCPConn)
	if tcp, toTCP := toBelow.(*net.TCPConn); fromTCP && toTCP {
		stuck.Probe(kernelMoved(tcp))
		stuck.Start()
		if _, err := to.Write(head); err != nil {
			return err
		}
		_, err := io.Copy(toBelow, below)
		return err
	}
	out := touching{toBelow, r.watch, stuck}
	if _, err := (touching{to, r.watch, stuck}).Write(head); err != nil {
		return err
	}
	if fromTCP {
		_, err := readahead.New(below, &r.group.pool).(io.WriterTo).WriteTo(out)
		return err
	}
	err := readahead.Pump(below, chunk, &r.group.pool, func(b *[]byte, lent bool) error {
		_, err := out.Write(*b)
		if lent {
			r.group.pool.Put(b)
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

// touching tells a watch of bytes that come and of bytes that have gone, and
// another one how long that takes.
type touching struct {
	io.Writer
	watch, stuck *silence.Watch
}

func (t touching) Write(p []byte) (int, error) {
	t.watch.Touch()
	t.stuck.Start()
	n, err := t.Writer.Write(p)
	t.stuck.Pause()
	t.watch.Touch()
	return n, err
}

// Wait waits for the streams, or until ctx is done, and then returns its error.
func (g *Group) Wait(ctx context.Context) error { return g.work.Wait(ctx) }

// Drain waits for the streams until ctx is done, and ends them then.
func (g *Group) Drain(ctx context.Context) {
	if g.work.Wait(ctx) == nil {
		return
	}
	g.mu.Lock()
	for c := range g.conns {
		c.Close()
	}
	g.mu.Unlock()
	_ = g.work.Wait(context.WithoutCancel(ctx)) // cannot fail
}
