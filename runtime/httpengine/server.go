package httpengine

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"kasgen/runtime/accept"
	"kasgen/runtime/http1"
	"kasgen/runtime/inflight"
	"kasgen/runtime/relay"
	"kasgen/runtime/sniff"
)

// AnyProxy, as ServerOptions.Proxy, takes a PROXY header of either version.
const AnyProxy = -1

// ServerOptions say what a listener speaks and how long it waits.
type ServerOptions struct {
	Log *slog.Logger
	// TLS ends TLS; nil is cleartext. Its NextProtos are the caller's, and so
	// is GetConfigForClient, which may choose by name.
	TLS *tls.Config
	// HTTP1 and HTTP2 are what is spoken. Over TLS it is HTTP/2 where ALPN
	// came to h2, and in cleartext where a connection begins with the preface.
	HTTP1, HTTP2 bool
	// Preface takes the preface for HTTP/2 over TLS, too, where ALPN did not
	// come to h2, as HAProxy does.
	Preface bool
	// Proxy is the version of the PROXY header that every connection must
	// begin with: 0 is none, AnyProxy either.
	Proxy int
	// Handshake limits PROXY header and TLS together, Header the head of a
	// request, Idle the time between requests, and on HTTP/2 that without a
	// stream; 0 is no limit.
	Handshake, Header, Idle time.Duration
	// Send ends a connection of HTTP/2 whose client has taken nothing for so
	// long of what there is for it, and at most twice as long; 0 is no limit.
	Send time.Duration
	// Late is what a client of HTTP/1.1 is sent, byte for byte, that has begun
	// no request or not finished its head when Header is over; "" ends it
	// without a word, as nginx does.
	Late string
	// Refused is what a client of HTTP/1.1 is sent, byte for byte, whose head
	// cannot be read, by the status that net/http has for it; nil and "" leave
	// it to net/http.
	Refused func(status int) string
	// HeadLine is how long a line of HTTP/1.1 may become before it ends; the
	// handler gets what there is, and has to refuse it and to close. 0 is no
	// limit of its own.
	HeadLine int
	// HalfClose goes on with a request whose client has ended its direction, as
	// HAProxy does; otherwise it is taken for gone, as nginx does.
	HalfClose bool
	// Cleartext is what a client is sent, byte for byte, that speaks no TLS
	// where TLS is spoken; nil ends it without a word.
	Cleartext func() string
	// MaxHeaderBytes bounds the head of a request; 0 is net/http's 1 MiB.
	MaxHeaderBytes int
	// MaxConcurrentStreams bounds the streams of one HTTP/2 connection; 0 is
	// net/http's 250.
	MaxConcurrentStreams uint32
}

// Server serves one listener.
type Server struct {
	options ServerOptions
	accept  *accept.Listener
	one     *http1.Server
	two     *http.Server
	queue   *sniff.Queue // of connections that speak HTTP/2
	streams relay.Group

	serving inflight.Group // two's loop that accepts
	fresh   inflight.Group // connections of HTTP/1.1 without a request so far
	retire  sync.Once
}

// NewServer takes connections from ln once Serve runs, and owns it.
func NewServer(ln net.Listener, handler http.Handler, o ServerOptions) *Server {
	s := &Server{options: o, queue: sniff.NewQueue(ln.Addr())}
	handler = prepared(handler)
	s.one = http1.NewServer(ln.Addr(), refusePreface(handler), http1.Limits{Header: o.Header, Idle: o.Idle, MaxHeaderBytes: o.MaxHeaderBytes, HeadLine: o.HeadLine}, o.Log)
	s.one.HTTP().ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return withClient(ctx, c.(*http1.Guard).Conn)
	}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true) // or encrypted: TLS has been ended before
	s.two = &http.Server{
		Handler:                      refuseConnect(handler),
		DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout:            o.Header,
		IdleTimeout:                  o.Idle,
		MaxHeaderBytes:               o.MaxHeaderBytes,
		Protocols:                    protocols,
		HTTP2:                        &http.HTTP2Config{MaxConcurrentStreams: int(o.MaxConcurrentStreams)},
		ErrorLog:                     slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
		ConnContext:                  withClient,
	}
	proxy := byte(o.Proxy)
	if o.Proxy == AnyProxy {
		proxy = accept.AnyProxy
	}
	begin := accept.Options{Log: o.Log, Proxy: proxy, TLS: o.TLS, Handshake: o.Handshake, Sniff: o.Header}
	if o.Late != "" && o.HTTP1 {
		begin.Silent = func(c net.Conn) { tell(c, o.Late) }
	}
	if o.Cleartext != nil {
		begin.Cleartext = func(c net.Conn, _ [5]byte) { accept.LastWord(c, o.Cleartext()) }
	}
	s.accept = accept.New(ln, begin, s.put)
	return s
}

func withClient(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, clientKey{}, c.(*described).client)
}

// refusePreface answers an HTTP/2 preface where HTTP/2 is not spoken: net/http
// hands it on as a request.
func refusePreface(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 1 {
			w.Header().Set("Connection", "close")
			http.Error(w, "kasgen: HTTP/2 is not served here", http.StatusBadRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// refuseConnect does on HTTP/2 what package http1 does on HTTP/1.1: nothing
// here is a forward proxy.
func refuseConnect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodConnect {
			http.Error(w, "kasgen: CONNECT is not served here", http.StatusMethodNotAllowed)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// put hands a connection to what it speaks.
func (s *Server) put(seen sniff.Protocol, c net.Conn) {
	d := &described{Conn: c, client: describe(c)}
	d.client.streams, d.client.begun = &s.streams, func() {}
	two := seen == sniff.HTTP2
	if state := d.client.TLS; state != nil {
		negotiated := state.NegotiatedProtocol == string(sniff.HTTP2)
		if negotiated && !two {
			s.options.Log.Debug("a client that negotiated HTTP/2 spoke something else", "client", c.RemoteAddr().String())
			c.Close()
			return
		}
		two = negotiated || two && s.options.Preface
	}
	switch {
	case two && s.options.HTTP2:
		d.stuck = relay.Stuck(c, s.options.Send, func() { c.Close() })
		s.queue.Put(d)
	case s.options.HTTP1:
		d.one, d.late, d.refuse = true, s.options.Late, s.options.Refused
		if s.options.HalfClose {
			d.waits = newWaits()
		}
		d.client.begun = sync.OnceFunc(s.fresh.Enter())
		s.one.Put(d)
	default:
		s.options.Log.Debug("a client spoke a protocol that is not served", "client", c.RemoteAddr().String())
		c.Close()
	}
}

// Serve serves until Settle, Shutdown or Close.
func (s *Server) Serve() error {
	var g errgroup.Group
	g.Go(s.accept.Serve)
	g.Go(s.one.Serve)
	g.Go(func() error {
		defer s.serving.Enter()()
		if err := s.two.Serve(s.queue); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	return g.Wait()
}

// Retire closes the listener and returns at once. What was accepted is served,
// connections that have not sent their first byte included.
func (s *Server) Retire() {
	s.retire.Do(func() {
		if err := s.accept.Retire(); err != nil && !errors.Is(err, net.ErrClosed) {
			s.options.Log.Warn("closing a listener", "error", err)
		}
	})
}

// Settle waits after Retire, while Serve runs, until nothing is under way any
// more, or until ctx is done, and then returns its error. Idle connections are
// told to go.
func (s *Server) Settle(ctx context.Context) error {
	if err := s.accept.Settle(ctx); err != nil {
		return err
	}
	// net/http would drop a first request that comes from now on.
	if err := s.fresh.Wait(ctx); err != nil {
		return err
	}
	var g errgroup.Group
	g.Go(func() error { return s.one.Retire(ctx) })
	g.Go(func() error {
		s.queue.Close()
		// Only then does net/http know of every connection.
		if err := s.serving.Wait(ctx); err != nil {
			return err
		}
		return s.two.Shutdown(ctx)
	})
	if err := g.Wait(); err != nil {
		return err
	}
	// Only now: until its handler has returned a request may become a stream.
	return s.streams.Wait(ctx)
}

// Shutdown closes the listener and lets requests and upgraded streams end; what
// has not when ctx is done is cut, and then its error is ctx's.
func (s *Server) Shutdown(ctx context.Context) error {
	s.closeListener()
	var g errgroup.Group
	g.Go(func() error { return s.one.HTTP().Shutdown(ctx) })
	g.Go(func() error { return s.two.Shutdown(ctx) })
	err := g.Wait()
	s.streams.Drain(ctx) // only now, as in Settle
	s.close()
	return err
}

func (s *Server) closeListener() {
	if err := s.accept.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		s.options.Log.Warn("closing a listener", "error", err)
	}
}

// Close cuts everything at once.
func (s *Server) Close() {
	s.closeListener()
	s.close()
	done, cancel := context.WithCancel(context.Background())
	cancel()
	s.streams.Drain(done)
}

func (s *Server) close() {
	_ = s.one.HTTP().Close() // the queues do not fail to close
	_ = s.two.Close()
}
