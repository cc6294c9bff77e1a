package edge

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kasgen/runtime/certs"
	"kasgen/runtime/host"
	"kasgen/runtime/sniff"
)

// TestChangedCertificate writes another certificate below an edge: new clients
// get it, and a stream that was open lives on.
func TestChangedCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := file()
	f.Listeners[0].TLS.CertificateFile, f.Listeners[0].TLS.KeyFile = filepath.Join(dir, "kas.crt"), filepath.Join(dir, "kas.key")
	cert, key, pool := certificate(t)
	write := func(cert, key []byte) {
		t.Helper()
		if err := errors.Join(os.WriteFile(f.Listeners[0].TLS.KeyFile, key, 0o600), os.WriteFile(f.Listeners[0].TLS.CertificateFile, cert, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	write(cert, key)
	h := host.Machine(slog.New(slog.DiscardHandler))
	local := func(string) (Endpoint, bool) {
		return Endpoint{GRPC: func(c net.Conn) {
			defer c.Close()
			_, _ = io.Copy(c, c)
		}}, true
	}
	ctx, cancel := context.WithCancel(t.Context())
	s, err := (&Config{file: f}).New(ctx, h, local)
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
	addr := s.Addrs()[f.Listeners[0].Address].String()

	stream := dial(t, addr, &tls.Config{ServerName: name, RootCAs: pool, NextProtos: []string{"h2"}})
	_ = stream.SetDeadline(time.Now().Add(time.Minute))
	echo := func(line string) {
		t.Helper()
		got := make([]byte, len(line))
		_, errWrite := io.WriteString(stream, line)
		_, errRead := io.ReadFull(stream, got)
		if err := errors.Join(errWrite, errRead); err != nil || string(got) != line {
			t.Fatalf("the stream answers %q, %v, want %q", got, err, line)
		}
	}
	echo(sniff.Preface)

	cert, key, pool = certificate(t)
	write(cert, key)
	end := time.After(time.Minute)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := tls.Dial("tcp", addr, &tls.Config{ServerName: name, RootCAs: pool})
		if err == nil {
			c.Close()
			break
		}
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("new clients do not get the new certificate: %v", err)
		}
	}
	echo("and the stream lives on")

	last, err := certs.Parse(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	if st := s.Status(); len(st) != 1 || !st[0].NotAfter.Equal(last.Leaf.NotAfter) || st[0].Failures != 0 {
		t.Errorf("of the certificates is told %+v", st)
	}
}
