package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/pires/go-proxyproto"
)

// handshake is what one TLS handshake told.
type handshake struct {
	version uint16
	alpn    string
	certs   []*x509.Certificate
}

// dialing says how to connect.
type dialing struct {
	alpn   []string // nil: none is offered
	verify bool     // as clients do; else everything is taken, to be judged later
	proxy  string   // PROXY header, "" none
}

// dial connects through TLS. ctx bounds the handshake and then ends the
// connection: what is silent must not keep the probe.
func (e *endpoint) dial(ctx context.Context, d dialing) (*tls.Conn, error) {
	tcp, err := e.dialTCP(ctx, d.proxy)
	if err != nil {
		return nil, err
	}
	conf := &tls.Config{ServerName: e.host, RootCAs: e.s.o.Roots, NextProtos: d.alpn, MinVersion: tls.VersionTLS12, Time: e.s.o.Now,
		InsecureSkipVerify: !d.verify} // the certificate has layers of its own
	c := tls.Client(tcp, conf)
	hctx, cancel := context.WithTimeout(ctx, e.s.o.Timeout)
	defer cancel()
	if err := c.HandshakeContext(hctx); err != nil {
		tcp.Close()
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	return c, nil
}

// dialTCP connects and sends the PROXY header.
func (e *endpoint) dialTCP(ctx context.Context, proxy string) (net.Conn, error) {
	d := net.Dialer{Timeout: e.s.o.Timeout}
	c, err := d.DialContext(ctx, "tcp", e.address)
	if err != nil {
		return nil, err
	}
	version := map[string]byte{"v1": 1, "v2": 2}[proxy]
	if version == 0 {
		return c, nil
	}
	head := proxyproto.HeaderProxyFromAddrs(version, c.LocalAddr(), c.RemoteAddr())
	err = c.SetWriteDeadline(time.Now().Add(e.s.o.Timeout))
	if err == nil {
		_, err = head.WriteTo(c)
	}
	if err == nil {
		err = c.SetWriteDeadline(time.Time{})
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("sending the PROXY header: %w", err)
	}
	return c, nil
}

// shake tries a handshake and forgets the connection.
func (e *endpoint) shake(ctx context.Context, d dialing) (*handshake, error) {
	c, err := e.dial(ctx, d)
	if err != nil {
		return nil, err
	}
	defer closeQuietly(c)
	state := c.ConnectionState()
	return &handshake{version: state.Version, alpn: state.NegotiatedProtocol, certs: state.PeerCertificates}, nil
}

// timedOut says whether nothing came in time.
func timedOut(err error) bool {
	var n net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &n) && n.Timeout()
}

// closeQuietly closes what nobody needs any more.
func closeQuietly(c io.Closer) { _ = c.Close() }
