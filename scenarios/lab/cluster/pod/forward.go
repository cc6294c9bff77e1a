package pod

import (
	"context"
	"fmt"
	"io"
	"net"
)

// PortForward joins stream to one of the pod's ports until the port's side
// has ended, or ctx has, which is no error: nobody is left to be told. The end
// of one direction is passed on as the end of that direction.
func (p *Pod) PortForward(ctx context.Context, port int32, stream io.ReadWriteCloser) error {
	ctx, leave, err := p.enter(ctx, 0)
	if err != nil {
		return err
	}
	defer leave()
	if port != EchoPort {
		return fmt.Errorf("dial tcp4 127.0.0.1:%d: connect: connection refused", port)
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", p.echo.Addr().String())
	if err != nil {
		return unlessEnded(ctx, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()

	// Not waited for: it reads until the client or the connection ends.
	go func() {
		_, _ = io.Copy(conn, stream)
		_ = conn.(*net.TCPConn).CloseWrite()
		drain(stream)
	}()
	if _, err := io.Copy(stream, conn); err != nil {
		return unlessEnded(ctx, fmt.Errorf("forwarding port %d: %w", port, err))
	}
	return nil
}

func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// serveEcho is what listens in the pod: every connection gets back what it
// sends.
func (p *Pod) serveEcho() {
	for {
		conn, err := p.echo.Accept()
		if err != nil {
			return // closed: there is no other end of a loopback listener
		}
		_, leave, err := p.enter(p.ctx, 0)
		if err != nil {
			_ = conn.Close()
			return
		}
		go func() {
			defer leave()
			defer conn.Close()
			stop := context.AfterFunc(p.ctx, func() { _ = conn.Close() })
			defer stop()
			_, _ = io.Copy(conn, conn)
		}()
	}
}
