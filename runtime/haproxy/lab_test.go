package haproxy

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
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kasgen/runtime/host"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// freePort is a port of loopback that nobody listens on now. The file names
// it, as files do, so it cannot be 0.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// embedded runs text on the balancer and returns where bind listens. The
// listeners get any free port, so that tests never fight for one.
func embedded(t testing.TB, text string) func(bind string) string {
	t.Helper()
	c, err := Load("haproxy.cfg", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	h := host.Machine(slog.New(slog.DiscardHandler))
	listen := h.Listen
	h.Listen = func(ctx context.Context, network, _ string) (net.Listener, error) {
		return listen(ctx, network, "127.0.0.1:0")
	}
	ctx, cancel := context.WithCancel(context.Background())
	s, err := c.New(ctx, h)
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Serve: %v", err)
			}
		case <-time.After(10 * time.Second):
			t.Error("Serve did not end")
		}
	})
	return func(bind string) string {
		a := s.Addrs()[bind]
		if a == nil {
			t.Fatalf("nobody listens for %s; there are %v", bind, s.Addrs())
		}
		return a.String()
	}
}

// native runs text on the real HAProxy.
func native(t testing.TB, text string) func(bind string) string {
	t.Helper()
	bin, err := exec.LookPath("haproxy")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("haproxy is not installed, and CI wants it")
		}
		t.Skip("skipping: haproxy is not installed, so there is nothing to compare with")
	}
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, "-db", "-f", file)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("haproxy said:\n%s", out.String())
		}
	})
	return func(bind string) string {
		t.Helper()
		for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			c, err := net.Dial("tcp", bind)
			if err == nil {
				_ = c.Close()
				return bind
			}
			if time.Now().After(deadline) {
				t.Fatalf("haproxy does not listen on %s:\n%s", bind, out.String())
			}
		}
	}
}

// answering is a server that says its name and the PROXY header if it gets
// one, and echoes what comes, until the end, which it answers with its own.
func answering(t testing.TB, name string, proxy bool) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				r := bufio.NewReader(c)
				header := ""
				if proxy {
					if header, err = r.ReadString('\n'); err != nil {
						return
					}
					header = strings.Join(strings.Fields(header)[:2], " ") + " "
				}
				if _, err := fmt.Fprintf(c, "%s%s:", header, name); err != nil {
					return
				}
				_, _ = io.Copy(struct{ io.Writer }{c}, r)
			}()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

// combinedPEM writes a certificate for kas.example.com with its key.
func combinedPEM(t testing.TB) (string, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	spec := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kas.example.com"}, DNSNames: []string{"kas.example.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, spec, spec, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	file := filepath.Join(t.TempDir(), "kas.pem")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	return file, roots
}

// send connects, sends in pieces, ends, and returns what came until the end.
func send(t testing.TB, address string, pieces ...string) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return exchange(t, c, pieces...)
}

func exchange(t testing.TB, c net.Conn, pieces ...string) string {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for _, p := range pieces {
		if _, err := io.WriteString(c, p); err != nil {
			break
		}
	}
	if h, ok := c.(interface{ CloseWrite() error }); ok {
		_ = h.CloseWrite()
	}
	b, err := io.ReadAll(c)
	if err != nil && len(b) == 0 {
		return "reset"
	}
	return string(b)
}

// hello is a ClientHello as crypto/tls writes it.
func hello(t testing.TB, serverName string, alpn ...string) string {
	t.Helper()
	client, server := net.Pipe()
	defer server.Close()
	go func() {
		_ = tls.Client(client, &tls.Config{ServerName: serverName, InsecureSkipVerify: serverName == "", NextProtos: alpn}).Handshake()
		_ = client.Close()
	}()
	b := make([]byte, 16<<10)
	n, err := io.ReadAtLeast(server, b, 5)
	if err != nil {
		t.Fatal(err)
	}
	size := 5 + int(b[3])<<8 + int(b[4])
	for n < size {
		m, err := server.Read(b[n:])
		if err != nil {
			t.Fatal(err)
		}
		n += m
	}
	return string(b[:n])
}
