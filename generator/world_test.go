package generator_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"kasgen/internal/judge"
)

// world is a rendered topology that a real nginx and HAProxy run, with
// stand-ins for kas behind it.
type world struct {
	t       *testing.T
	ports   map[string]string // @name in the spec's text to 127.0.0.1:port
	state   string
	roots   *x509.CertPool
	arrived chan string // what reached kas: listener, method, path, protocol, client
}

// start runs text with @names as loopback addresses. @agent and @api are the
// stand-ins of kas.
func start(t *testing.T, text string, listeners ...string) *world {
	t.Helper()
	w := &world{t: t, ports: map[string]string{}, state: t.TempDir(), roots: x509.NewCertPool(), arrived: make(chan string, 16)}
	certificate(t, filepath.Join(w.state, "tls"))
	pem, err := os.ReadFile(filepath.Join(w.state, "tls", "kas.crt"))
	if err != nil {
		t.Fatal(err)
	}
	w.roots.AppendCertsFromPEM(pem)
	w.kas("@agent")
	w.kas("@api")
	for _, name := range listeners {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		w.ports[name] = ln.Addr().String()
		ln.Close()
	}
	text = "apiVersion: kasgen/v1\ngitlab: {url: 'https://example.com'}\nnames: {kas: kas.example.com}\nstateDir: " + w.state +
		"\nkas: {listen: {agent: '@agent', kubernetesAPI: '@api'}}\n" + text
	for name, address := range w.ports {
		text = strings.ReplaceAll(text, name, address)
	}
	for _, f := range rendered(t, text).Files {
		path := filepath.Join(w.state, filepath.Base(f.Name))
		switch f.Name {
		case "haproxy/haproxy.cfg":
			// The limit is more than a test may open.
			w.run(path, bytes.ReplaceAll(f.Data, []byte("maxconn 20000"), []byte("maxconn 100")), judge.Find(t, "haproxy"), "-f", path)
		case "nginx/nginx.conf", "nginx/stream.conf":
			data := bytes.ReplaceAll(temporary(f.Data, w.state), []byte("worker_connections 40000"), []byte("worker_connections 100"))
			w.run(path, data, judge.Find(t, "nginx"), "-c", path, "-g", "daemon off;")
		}
	}
	for name, address := range w.ports {
		w.wait(name, address)
	}
	return w
}

// kas stands in for one of kas's listeners, in both protocols in cleartext.
func (w *world) kas(name string) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		w.arrived <- fmt.Sprintf("%s %s %s %s %d %v %s", name, r.Method, r.RequestURI, r.Proto, n, err, r.Header.Get("X-Forwarded-For"))
		if token := r.Header.Get("Upgrade"); token != "" {
			rw.Header().Set("Connection", "Upgrade")
			rw.Header().Set("Upgrade", token)
			rw.WriteHeader(http.StatusSwitchingProtocols)
			return
		}
		rw.Header().Set("Trailer", "Grpc-Status")
		_, _ = io.WriteString(rw, "answer") // a client that left does not mind
		rw.Header().Set("Grpc-Status", "0")
	}))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	w.t.Cleanup(s.Close)
	w.ports[name] = s.Listener.Addr().String()
}

// run starts a program and ends it with the test.
func (w *world) run(path string, data []byte, name string, args ...string) {
	w.t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		w.t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			w.t.Errorf("%s: %v\n%s", name, err, out.String())
		}
		_ = cmd.Wait() // ended by a signal
		if w.t.Failed() {
			w.t.Logf("%s:\n%s", name, out.String())
		}
	})
}

// wait waits until somebody listens.
func (w *world) wait(name, address string) {
	w.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("nobody listens for %s: %v", name, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// dial opens TLS to a listener as name.
func (w *world) dial(listener, name string, protocols ...string) (*tls.Conn, error) {
	d := tls.Dialer{Config: &tls.Config{RootCAs: w.roots, ServerName: name, NextProtos: protocols, MinVersion: tls.VersionTLS12}}
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	conn, err := d.DialContext(ctx, "tcp", w.ports[listener])
	if err != nil {
		return nil, err
	}
	return conn.(*tls.Conn), conn.SetDeadline(time.Now().Add(20 * time.Second))
}

// ask sends a request by HTTP/1.1 over conn.
func ask(t *testing.T, conn net.Conn, method, path, host, upgrade string) (*http.Response, string) {
	t.Helper()
	defer conn.Close()
	head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nX-Forwarded-For: 192.0.2.9\r\nContent-Length: 0\r\n", method, path, host)
	if upgrade != "" {
		head += "Connection: Upgrade\r\nUpgrade: " + upgrade + "\r\n"
	}
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return resp, ""
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func (w *world) ask(listener, method, path, host, upgrade string) (*http.Response, string) {
	w.t.Helper()
	conn, err := w.dial(listener, host, "http/1.1")
	if err != nil {
		w.t.Fatal(err)
	}
	return ask(w.t, conn, method, path, host, upgrade)
}

// grpc sends a body of size bytes by HTTP/2.
func (w *world) grpc(listener, host, path string, size int64) *http.Response {
	w.t.Helper()
	transport := &http.Transport{Protocols: new(http.Protocols), DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
		return w.dial(listener, host, "h2")
	}}
	transport.Protocols.SetHTTP2(true)
	defer transport.CloseIdleConnections()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, "https://"+host+path, io.LimitReader(zeros{}, size))
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("Te", "trailers")
	resp, err := transport.RoundTrip(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		w.t.Error(err)
	}
	return resp
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// came is what reached kas.
func (w *world) came() string {
	select {
	case s := <-w.arrived:
		return s
	case <-time.After(20 * time.Second):
		w.t.Error("nothing reached kas")
		return ""
	}
}

// quiet reports what reached kas and should not have.
func (w *world) quiet() {
	w.t.Helper()
	select {
	case s := <-w.arrived:
		w.t.Errorf("%s reached kas", s)
	default:
	}
}

// other connects by names.kas and looks for the PROXY header at the edge.
func (w *world) other(edge net.Listener) {
	w.t.Helper()
	if err := edge.(*net.TCPListener).SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		w.t.Fatal(err)
	}
	seen := make(chan struct{})
	var client sync.WaitGroup
	client.Go(func() { // no handshake ends at a stand-in, unless the balancer ends TLS
		if conn, err := w.dial("@front", "kas.example.com", "http/1.1"); err == nil {
			<-seen
			conn.Close()
		}
	})
	defer func() {
		close(seen)
		edge.Close() // and with it what nobody accepted
		client.Wait()
	}()
	for { // a health check of HAProxy may come first, and says LOCAL
		conn, err := edge.Accept()
		if err != nil {
			w.t.Error(err)
			return
		}
		if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			w.t.Error(err)
		}
		head := make([]byte, 13)
		_, err = io.ReadFull(conn, head)
		conn.Close()
		switch {
		case err == nil && (strings.HasPrefix(string(head), "PROXY TCP4 ") || string(head[:12]) == "\r\n\r\n\x00\r\nQUIT\n" && head[12] == 0x21):
			return
		case err == nil && head[12] != 0x20:
			w.t.Errorf("%q at the edge", head)
			return
		}
	}
}
