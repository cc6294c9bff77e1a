package lab

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"kasgen/runtime/relay"
	"kasgen/runtime/sniff"
)

// proxy is an HTTP proxy that knows CONNECT only. Clients go through it so that
// they use the names of kas, as on a machine whose DNS has them: a web server
// chooses by the name in a request, which an address would take away.
type proxy struct {
	ln     net.Listener
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
	relays relay.Group
}

// connectLimit is how long a client may take to say where it wants to go, and
// a dial to get there.
const connectLimit = 10 * time.Second

func (l *Lab) startProxy(ctx context.Context, _ Options) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	l.proxy = &proxy{ln: ln, dial: l.dial}
	l.work.Go(func() error { l.proxy.serve(ctx); return nil })
	context.AfterFunc(ctx, func() { ln.Close() })
	l.closers = append(l.closers, func() error {
		gone, cancel := context.WithCancel(context.Background())
		cancel()
		l.proxy.relays.Drain(gone)
		return nil
	})
	return nil
}

func (p *proxy) url() *url.URL { return &url.URL{Scheme: "http", Host: p.ln.Addr().String()} }

func (p *proxy) serve(ctx context.Context) {
	for {
		c, err := p.ln.Accept()
		if err != nil {
			return
		}
		go func() {
			if err := p.connect(ctx, c); err != nil {
				fmt.Fprintf(c, "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nthe lab's proxy: %v\n", err)
				c.Close()
			}
		}()
	}
}

// connect joins a client with where it wants to go.
func (p *proxy) connect(ctx context.Context, c net.Conn) error {
	if err := c.SetDeadline(time.Now().Add(connectLimit)); err != nil {
		return err
	}
	r := bufio.NewReader(c)
	req, err := http.ReadRequest(r)
	if err != nil {
		return err
	}
	if req.Method != http.MethodConnect {
		return fmt.Errorf("%s is not CONNECT", req.Method)
	}
	dialing, cancel := context.WithTimeout(ctx, connectLimit)
	defer cancel()
	server, err := p.dial(dialing, "tcp", req.Host)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(c, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		server.Close()
		return err
	}
	if err := c.SetDeadline(time.Time{}); err != nil {
		server.Close()
		return err
	}
	early, err := r.Peek(r.Buffered())
	if err != nil {
		server.Close()
		return err
	}
	p.relays.Join(sniff.Replay(c, append([]byte(nil), early...)), server, relay.Options{})
	return nil
}
