package lab

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"kasgen/internal/lockfile"
	"kasgen/runtime/haproxy"
	"kasgen/runtime/host"
	"kasgen/scenarios/lab/cloud"
)

// tcpBalancer is somebody else's balancer that passes connections on.
type tcpBalancer struct {
	terminate   bool     // TLS ends here
	alpn        []string // then
	reencrypt   bool     // and begins anew
	idle        time.Duration
	certificate string // with its key, a file
	backend     string
}

// tcpOf is the TCP balancer before a name: the model, or what the bundle asks
// for; nil if it is none.
func (l *Lab) tcpOf(n name, m *cloud.Model) *tcpBalancer {
	const unlimited = 24 * time.Hour
	switch {
	case m != nil && (m.Kind == cloud.TCP || m.Kind == cloud.TLS):
		return &tcpBalancer{terminate: m.Kind == cloud.TLS, alpn: m.ALPN, reencrypt: m.Reencrypt, idle: m.Idle()}
	case m != nil || n.Front.Kind != "external-tcp":
		return nil
	}
	b := &tcpBalancer{terminate: n.Front.TLS != "passthrough", reencrypt: n.Front.TLS == "reencrypt", idle: unlimited}
	if l.Carries().Agents.GRPCS == lockfile.Yes {
		b.alpn = []string{"http/1.1", "h2"}
	}
	return b
}

// startTCP runs a TCP balancer that sends what the listener expects.
func (l *Lab) startTCP(ctx context.Context, n name, b tcpBalancer, log *slog.Logger) (string, error) {
	bind, server := "bind 127.0.0.1:443", "server listener "+b.backend
	if b.terminate {
		bind += " ssl crt " + b.certificate
		if len(b.alpn) > 0 {
			bind += " alpn " + strings.Join(b.alpn, ",")
		}
	}
	if b.reencrypt {
		server += " ssl verify none sni str(" + n.Name + ")"
		if len(b.alpn) > 0 {
			server += " alpn " + strings.Join(b.alpn, ",")
		}
	}
	switch {
	case n.Front == nil:
	case n.Front.ProxyProtocol == "v1":
		server += " send-proxy"
	case n.Front.ProxyProtocol == "v2":
		server += " send-proxy-v2"
	}
	idle := fmt.Sprintf("%dms", b.idle.Milliseconds())
	text := strings.Join([]string{"defaults", "mode tcp", "timeout connect 5s", "timeout client " + idle, "timeout server " + idle,
		"listen somebody-elses", bind, server, ""}, "\n")
	c, err := haproxy.Load("the stand-in for "+n.Name+"'s balancer", []byte(text))
	if err != nil {
		return "", fmt.Errorf("stand-in TCP balancer: %w", err)
	}
	h := host.Machine(log)
	h.Listen = func(ctx context.Context, network, _ string) (net.Listener, error) {
		var lc net.ListenConfig
		return lc.Listen(ctx, network, "127.0.0.1:0")
	}
	h.Dial = l.dial
	s, err := c.New(ctx, h)
	if err != nil {
		return "", fmt.Errorf("stand-in TCP balancer: %w", err)
	}
	l.roles.Go(func() error { return s.Serve(ctx) })
	return s.Addrs()["127.0.0.1:443"].String(), nil
}
