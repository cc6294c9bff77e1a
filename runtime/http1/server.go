package http1

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"kasgen/runtime/inflight"
	"kasgen/runtime/sniff"
)

// Limits bound what a client may hold. Bodies, answers and upgraded streams
// have no limit of time or size.
type Limits struct {
	Header         time.Duration // until a request's head is complete
	Idle           time.Duration // between requests
	MaxHeaderBytes int
	// HeadLine is how long a line of a head may become before it ends. The
	// handler then gets the head that there is, and has to refuse it and to
	// close; 0 is no limit but MaxHeaderBytes.
	HeadLine int
	// Refusal, if not nil, words what is refused before a handler sees it.
	Refusal Refusal
}

// Refusal is the content type and the body of an answer that refuses a request.
type Refusal func(code int, reason string) (contentType, body string)

// plain is a Refusal in words alone.
func plain(_ int, reason string) (contentType, body string) {
	return "text/plain; charset=utf-8", "kasgen: " + reason + "\n"
}

// Server is a strict HTTP/1.1 server that is handed its connections.
type Server struct {
	server   *http.Server
	queue    *sniff.Queue
	refusal  Refusal
	headLine int
	serving  inflight.Group
	conns    inflight.Group // that net/http has
	requests inflight.Group // whose handlers run: an upgraded one is net/http's no more
}

// NewServer serves handler once Serve runs.
func NewServer(addr net.Addr, handler http.Handler, l Limits, log *slog.Logger) *Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	s := &Server{queue: sniff.NewQueue(addr), refusal: l.Refusal, headLine: l.HeadLine}
	if s.refusal == nil {
		s.refusal = plain
	}
	s.server = &http.Server{
		ConnState: s.count,
		Handler:   s.counted(endBody(s.refuseConnect(CloseAfterUpgrade(handler)), l.Header)),
		// OPTIONS * is for the handler too, which knows what is served.
		DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout:            l.Header,
		IdleTimeout:                  l.Idle,
		MaxHeaderBytes:               l.MaxHeaderBytes,
		Protocols:                    protocols,
		ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	return s
}

// counted knows of requests as long as their handlers run: net/http forgets one
// as soon as it has been upgraded.
func (s *Server) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer s.requests.Enter()()
		next.ServeHTTP(w, r)
	})
}

// endBody bounds how long a client may take to end the body of a request that
// has been answered. net/http reads on, to use the connection again; a client
// whose body never ends, as that of a gRPC stream which came as HTTP/1.1, would
// hold the connection, and Shutdown, for ever.
func endBody(next http.Handler, limit time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r)
		if r.ContentLength == 0 || r.Header.Get("Upgrade") != "" {
			return // there is no body, or the connection is somebody else's now
		}
		// net/http sets its own deadline for the next request.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(limit)) // a connection that is gone needs none
	})
}

// refuseConnect ends a connection that asks for a tunnel: the guard has stopped
// reading heads on it, and nothing here is a forward proxy.
func (s *Server) refuseConnect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodConnect {
			w.Header().Set("Connection", "close")
			contentType, body := s.refusal(http.StatusMethodNotAllowed, "CONNECT is not served here")
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(http.StatusMethodNotAllowed)
			_, _ = io.WriteString(w, body) // the connection is closed next
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Put hands a connection over.
func (s *Server) Put(c net.Conn) {
	g := NewGuard(c)
	g.refusal, g.maxLine = s.refusal, s.headLine
	s.queue.Put(g)
}

// Serve serves until the HTTP server is shut down, or retires.
func (s *Server) Serve() error {
	defer s.serving.Enter()()
	if err := s.server.Serve(s.queue); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// Retire takes no more connections and waits until every one has carried its
// request, or until ctx is done, and then returns its error. Connections
// without a request are closed. Nobody may Put when it is called.
//
// It is not net/http's Shutdown, which drops a request whose head it reads
// after its begin. Both drop a connection whose first head takes longer than
// 5 s.
func (s *Server) Retire(ctx context.Context) error {
	s.queue.Close()
	// Only when Serve has returned does net/http know of every connection that
	// it has accepted.
	if err := s.serving.Wait(ctx); err != nil {
		return err
	}
	s.server.SetKeepAlivesEnabled(false)
	if err := s.conns.Wait(ctx); err != nil {
		return err
	}
	return s.requests.Wait(ctx)
}

func (s *Server) count(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.conns.Enter()
	case http.StateHijacked, http.StateClosed:
		s.conns.Leave()
	case http.StateActive, http.StateIdle:
	}
}

// HTTP is the server itself, to shut down.
func (s *Server) HTTP() *http.Server { return s.server }
