package http1

import (
	"log/slog"
	"net"
	"net/http"
	"time"

	"kasgen/runtime/sniff"
)

// Limits bound what a client may hold. Bodies, answers and upgraded streams
// have no limit of time or size.
type Limits struct {
	Header         time.Duration // until a request's head is complete
	Idle           time.Duration // between requests
	MaxHeaderBytes int
}

// Server is a strict HTTP/1.1 server that is handed its connections.
type Server struct {
	server *http.Server
	queue  *sniff.Queue
}

// NewServer serves handler once Serve runs.
func NewServer(addr net.Addr, handler http.Handler, l Limits, log *slog.Logger) *Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &Server{
		queue: sniff.NewQueue(addr),
		server: &http.Server{
			Handler: refuseConnect(CloseAfterUpgrade(handler)),
			// OPTIONS * is for the handler too, which knows what is served.
			DisableGeneralOptionsHandler: true,
			ReadHeaderTimeout:            l.Header,
			IdleTimeout:                  l.Idle,
			MaxHeaderBytes:               l.MaxHeaderBytes,
			Protocols:                    protocols,
			ErrorLog:                     slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		},
	}
}

// refuseConnect ends a connection that asks for a tunnel: the guard has stopped
// reading heads on it, and nothing here is a forward proxy.
func refuseConnect(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodConnect {
			w.Header().Set("Connection", "close")
			http.Error(w, "kasgen: CONNECT is not served here", http.StatusMethodNotAllowed)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Put hands a connection over.
func (s *Server) Put(c net.Conn) { s.queue.Put(NewGuard(c)) }

// Serve serves until the HTTP server is shut down.
func (s *Server) Serve() error {
	if err := s.server.Serve(s.queue); err != http.ErrServerClosed {
		return err
	}
	return nil
}

// HTTP is the server itself, to shut down.
func (s *Server) HTTP() *http.Server { return s.server }
