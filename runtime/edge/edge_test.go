package edge

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"kasgen/internal/edgeconf"
	"kasgen/runtime/host"
	"kasgen/runtime/sniff"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const name = "kas.example.com"

// certificate is a pair for name, and the pool that trusts it.
func certificate(t testing.TB) (cert, key []byte, pool *x509.CertPool) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	pool = x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return cert, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), pool
}

func seconds(n float64) edgeconf.Duration { return edgeconf.Duration(n * float64(time.Second)) }

// file is an edge of topology A. TLS is on unless proxy or cleartext is asked for.
func file() *edgeconf.File {
	return &edgeconf.File{
		Drain: seconds(5),
		Listeners: []edgeconf.Listener{{
			Name: "kas", Address: "127.0.0.1:0", ProxyProtocol: edgeconf.ProxyNone,
			TLS:         &edgeconf.TLS{CertificateFile: "cert", KeyFile: "key", MinVersion: "1.2", ALPN: []string{"http/1.1", "h2"}},
			ServerNames: []string{name},
			Limits:      edgeconf.Limits{Handshake: seconds(5), Sniff: seconds(5), Header: seconds(5), MaxHeaderBytes: 8 << 10, Idle: seconds(5)},
			Routes: edgeconf.Routes{GRPC: "agent", Paths: []edgeconf.Path{
				{Prefix: "/", Upstream: "agent", Upgrades: []string{"websocket"}, UpgradeOnly: true},
				{Prefix: "/k8s-proxy", Upstream: "api", Upgrades: []string{"websocket", "SPDY/3.1"}},
				{Prefix: "/stripped", Upstream: "api", Upgrades: []string{"websocket", "SPDY/3.1"}, Strip: true},
			}},
		}},
		Upstreams: []edgeconf.Upstream{
			{Name: "agent", Address: "agent:1", Connect: seconds(5)},
			{Name: "api", Address: "api:1", Connect: seconds(5)},
		},
	}
}

// run starts an edge and returns its address and what its clients trust.
func run(t *testing.T, f *edgeconf.File, local map[string]Endpoint) (string, *x509.CertPool) {
	t.Helper()
	cert, key, pool := certificate(t)
	h := host.Machine(slog.New(slog.DiscardHandler))
	h.ReadFile = func(path string) ([]byte, error) {
		return map[string][]byte{"cert": cert, "key": key}[path], nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	s, err := (&Config{file: f}).New(ctx, h, func(address string) (Endpoint, bool) { e, ok := local[address]; return e, ok })
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s.Addrs()[f.Listeners[0].Address].String(), pool
}

// endpoints answer with their name and what they saw.
func endpoints() map[string]Endpoint {
	answer := func(name string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "%s %s %s", name, r.URL.Path, r.Header.Get("Upgrade"))
		})
	}
	return map[string]Endpoint{
		"agent:1": {HTTP: answer("agent"), GRPC: func(c net.Conn) {
			b := make([]byte, len(sniff.Preface))
			if _, err := io.ReadFull(c, b); err == nil && string(b) == sniff.Preface {
				io.WriteString(c, "grpc")
			}
			c.Close()
		}},
		"api:1": {HTTP: answer("api")},
	}
}

func dial(t *testing.T, addr string, conf *tls.Config) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if conf == nil {
		return c
	}
	return tls.Client(c, conf)
}

func TestWhatGoesWhere(t *testing.T) {
	t.Parallel()
	addr, pool := run(t, file(), endpoints())
	for _, tt := range []struct {
		name, send string
		want       string
	}{
		{"gRPC", sniff.Preface, "grpc"},
		{"proxy", "GET /k8s-proxy/api HTTP/1.1\r\nHost: h\r\n\r\n", "200 api /k8s-proxy/api "},
		{"proxy prefix with slash", "GET /k8s-proxy/ HTTP/1.1\r\nHost: h\r\n\r\n", "200 api /k8s-proxy/ "},
		{"proxy prefix without slash", "GET /k8s-proxy HTTP/1.1\r\nHost: h\r\n\r\n", "200 api /k8s-proxy "},
		{"SPDY", "POST /k8s-proxy/x HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nContent-Length: 0\r\n\r\n", "200 api /k8s-proxy/x SPDY/3.1"},
		{"agent on any path", "GET /-/kubernetes-agent/ HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n", "200 agent /-/kubernetes-agent/ websocket"},
		{"a path that only begins like the prefix", "GET /k8s-proxyx HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "200 agent /k8s-proxyx websocket"},
		{"no upgrade for an agent", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "426 kasgen edge: only connections that upgrade to websocket are served on this path; a proxy on the way may have removed the Upgrade header"},
		{"SPDY for an agent", "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n", "400 kasgen edge: an upgrade to SPDY/3.1 is not possible on this path"},
		{"h2c", "GET /k8s-proxy/ HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n", "400 kasgen edge: an upgrade to h2c is not possible on this path"},
		{"upgrade without connection", "GET /k8s-proxy/ HTTP/1.1\r\nHost: h\r\nUpgrade: SPDY/3.1\r\n\r\n", "400 kasgen edge: the request has Upgrade: SPDY/3.1 without Connection: upgrade; a proxy on the way may have removed it"},
		{"two upgrades", "GET /k8s-proxy/ HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1, h2c\r\n\r\n", "400 kasgen edge: the request asks for more than one upgrade: SPDY/3.1, h2c"},
		{"a preface with one byte wrong", strings.Replace(sniff.Preface, "SM", "SN", 1), "400 kasgen edge: the connection begins almost, but not quite, like HTTP/2 (RFC 9113, section 3.4)"},
		{"garbage", "\x00\x01\x02\x03garbage\r\n\r\n", "400 400 Bad Request"},
		{"oversized header", "GET /k8s-proxy/ HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("x", 32<<10) + "\r\n\r\n", "431 431 Request Header Fields Too Large"},
		{"prefix taken off", "GET /stripped/api/a%2Fb?c=d HTTP/1.1\r\nHost: h\r\n\r\n", "200 api /api/a/b "},
		{"prefix alone taken off", "GET /stripped HTTP/1.1\r\nHost: h\r\n\r\n", "200 api / "},
		{"prefix taken off in an upgrade", "POST /stripped/x HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nContent-Length: 0\r\n\r\n", "200 api /x SPDY/3.1"},
		{"escaped prefix", "GET /strippe%64/x HTTP/1.1\r\nHost: h\r\n\r\n", "404 kasgen edge: the path begins with /stripped in other words: write it without percent signs"},
		{"both framings", "POST /k8s-proxy/ HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "400 kasgen: the request has both Content-Length and Transfer-Encoding (RFC 9112, section 6.1)"},
	} {
		for _, alpn := range [][]string{nil, {"h2"}, {"http/1.1"}, {"h2", "http/1.1"}} {
			t.Run(fmt.Sprintf("%s/%v", tt.name, alpn), func(t *testing.T) {
				t.Parallel()
				c := dial(t, addr, &tls.Config{ServerName: name, RootCAs: pool, NextProtos: alpn})
				go func() {
					if len(tt.send) > 100 { // one byte at a time is for the sniff
						io.WriteString(c, tt.send)
						return
					}
					for i := range len(tt.send) {
						if _, err := io.WriteString(c, tt.send[i:i+1]); err != nil {
							return
						}
					}
				}()
				if diff := cmp.Diff(tt.want, read(c)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
	}
}

// read is a response as "status body", the bytes where it is none, or "closed".
func read(c net.Conn) string {
	r := bufio.NewReader(c)
	if b, err := r.Peek(4); string(b) != "HTTP" {
		if err != nil {
			return "closed"
		}
		return string(b)
	}
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return err.Error()
	}
	body, _ := io.ReadAll(resp.Body)
	return fmt.Sprintf("%d %s", resp.StatusCode, strings.TrimSuffix(string(body), "\n"))
}

func TestALPN(t *testing.T) {
	t.Parallel()
	addr, pool := run(t, file(), endpoints())
	for _, tt := range []struct {
		offer []string
		want  string
	}{
		{[]string{"h2", "http/1.1"}, "http/1.1"}, // kubectl
		{[]string{"h2"}, "h2"},                   // grpc-go
		{nil, ""},
	} {
		c := dial(t, addr, &tls.Config{ServerName: name, RootCAs: pool, NextProtos: tt.offer}).(*tls.Conn)
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		if got := c.ConnectionState().NegotiatedProtocol; got != tt.want {
			t.Errorf("offered %v: negotiated %q, want %q", tt.offer, got, tt.want)
		}
	}
}

func TestServerNames(t *testing.T) {
	t.Parallel()
	addr, pool := run(t, file(), endpoints())
	wrong := dial(t, addr, &tls.Config{ServerName: "gitlab.example.com", RootCAs: pool}).(*tls.Conn)
	if err := wrong.Handshake(); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
		t.Errorf("a wrong name: %v, want the alert unrecognized_name", err)
	}
	none := dial(t, addr, &tls.Config{InsecureSkipVerify: true}).(*tls.Conn)
	if err := none.Handshake(); err != nil {
		t.Errorf("no name: %v", err)
	}
}

// TestTLSVersions: 1.2 and 1.3 as the file says, and nothing older.
func TestTLSVersions(t *testing.T) {
	t.Parallel()
	for least, want := range map[string]map[uint16]bool{
		"1.2": {tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true},
		"1.3": {tls.VersionTLS11: false, tls.VersionTLS12: false, tls.VersionTLS13: true},
	} {
		f := file()
		f.Listeners[0].TLS.MinVersion = least
		addr, pool := run(t, f, endpoints())
		for version, takes := range want {
			c := dial(t, addr, &tls.Config{ServerName: name, RootCAs: pool, MinVersion: version, MaxVersion: version}).(*tls.Conn)
			if err := c.Handshake(); (err == nil) != takes {
				t.Errorf("minVersion %s, %s: %v", least, tls.VersionName(version), err)
			}
		}
	}
}

// TestSlowClients: silence and trickling end at the limits, and others are
// served meanwhile.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	f := file()
	f.Listeners[0].Limits = edgeconf.Limits{Handshake: seconds(0.3), Sniff: seconds(0.3), Header: seconds(0.3), MaxHeaderBytes: 8 << 10, Idle: seconds(5)}
	addr, pool := run(t, f, endpoints())
	conf := &tls.Config{ServerName: name, RootCAs: pool}
	silent := dial(t, addr, nil)
	afterTLS := dial(t, addr, conf)
	if err := afterTLS.(*tls.Conn).Handshake(); err != nil {
		t.Fatal(err)
	}
	inPreface := dial(t, addr, conf)
	io.WriteString(inPreface, sniff.Preface[:5])
	inHead := dial(t, addr, conf)
	io.WriteString(inHead, "GET /k8s-proxy/ HTTP/1.1\r\nHos")
	good := dial(t, addr, conf)
	io.WriteString(good, "GET /k8s-proxy/ok HTTP/1.1\r\nHost: h\r\n\r\n")
	if got := read(good); got != "200 api /k8s-proxy/ok " {
		t.Errorf("beside slow clients: %s", got)
	}
	for what, c := range map[string]net.Conn{"silent": silent, "silent after TLS": afterTLS, "stuck in the preface": inPreface, "stuck in the head": inHead} {
		if _, err := io.ReadAll(c); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Errorf("%s: still open", what)
		}
	}
}

func TestProxyProtocol(t *testing.T) {
	t.Parallel()
	v2 := "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x10\x00\x20\x00"
	v1 := "PROXY TCP4 1.2.3.4 5.6.7.8 4096 8192\r\n"
	const get = "GET /k8s-proxy/ HTTP/1.1\r\nHost: h\r\n\r\n"
	for _, tt := range []struct {
		version edgeconf.ProxyProtocol
		send    string
		want    string
	}{
		{edgeconf.ProxyV1, v1 + get, "200 1.2.3.4:4096"},
		{edgeconf.ProxyV2, v2 + get, "200 1.2.3.4:4096"},
		{edgeconf.ProxyV2, v1 + get, "closed"},
		{edgeconf.ProxyV1, v2 + get, "closed"},
		{edgeconf.ProxyV1, get, "closed"},
		{edgeconf.ProxyV2, get, "closed"},
		{edgeconf.ProxyNone, v1 + get, "400 400 Bad Request"},
	} {
		f := file()
		f.Listeners[0].TLS = nil
		f.Listeners[0].ProxyProtocol = tt.version
		addr, _ := run(t, f, map[string]Endpoint{"agent:1": {}, "api:1": {HTTP: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, r.RemoteAddr)
		})}})
		c := dial(t, addr, nil)
		io.WriteString(c, tt.send)
		if got := read(c); got != tt.want {
			t.Errorf("%s, %q: %s, want %s", tt.version, tt.send[:10], got, tt.want)
		}
	}
}

// TestDialledUpstream: bytes sent before the 101 arrive, and the end of a
// direction is passed on while the other goes on.
func TestDialledUpstream(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				req, err := http.ReadRequest(r)
				if err != nil {
					return
				}
				if req.Header.Get("Upgrade") == "" {
					io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nplain")
					return
				}
				io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\nearly;")
				b, _ := io.ReadAll(r)
				fmt.Fprintf(c, "got %s", b)
			}()
		}
	}()
	f := file()
	f.Upstreams[1].Address = ln.Addr().String()
	addr, pool := run(t, f, endpoints())
	conf := &tls.Config{ServerName: name, RootCAs: pool}
	c := dial(t, addr, conf)
	io.WriteString(c, "POST /k8s-proxy/x HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nContent-Length: 0\r\n\r\nbefore the 101")
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", resp, err)
	}
	io.WriteString(c, ", after it")
	if err := c.(*tls.Conn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if want := "early;got before the 101, after it"; string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
	plain := dial(t, addr, conf)
	io.WriteString(plain, "GET /k8s-proxy/x HTTP/1.1\r\nHost: h\r\n\r\n")
	if got := read(plain); got != "200 plain" {
		t.Errorf("a plain request: %s", got)
	}
	ln.Close()
	gone := dial(t, addr, conf)
	io.WriteString(gone, "GET /k8s-proxy/x HTTP/1.1\r\nHost: h\r\n\r\n")
	if got := read(gone); !strings.HasPrefix(got, "502 kasgen edge: the upstream api") {
		t.Errorf("with the upstream gone: %s", got)
	}
}
