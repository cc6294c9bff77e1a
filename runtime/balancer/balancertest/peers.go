// Package balancertest is what the tests of the balancer's roles share:
// servers that say who they are, clients, certificates, and the real programs
// to compare with. It knows no file format.
package balancertest

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// FreePort is an address of loopback that nobody listens on now. The file
// names it, as files do, so its port cannot be 0. On Linux each call has an IP
// address of its own: two tests that got the same port would otherwise share
// it unnoticed, for HAProxy listens with SO_REUSEPORT.
func FreePort(t testing.TB) string {
	t.Helper()
	ip := net.IPv4(127, 0, 0, 1)
	if runtime.GOOS == "linux" {
		b := make([]byte, 3)
		if _, err := rand.Read(b); err != nil {
			t.Fatal(err)
		}
		ip = net.IPv4(127, b[0], b[1], 1+b[2]%254)
	}
	l, err := net.Listen("tcp", net.JoinHostPort(ip.String(), "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// Answering is a server that says its name and the PROXY header if it gets
// one, and echoes what comes, until the end, which it answers with its own.
func Answering(t testing.TB, name string, proxy bool) string {
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

// CombinedPEM writes a certificate for kas.example.com with its key.
func CombinedPEM(t testing.TB) (string, *x509.CertPool) {
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

// Send connects, sends in pieces, ends, and returns what came until the end.
func Send(t testing.TB, address string, pieces ...string) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return Exchange(t, c, pieces...)
}

// Exchange is Send on a connection that is there.
func Exchange(t testing.TB, c net.Conn, pieces ...string) string {
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

// Hello is a ClientHello as crypto/tls writes it.
func Hello(t testing.TB, serverName string, alpn ...string) string {
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
