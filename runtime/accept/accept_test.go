package accept

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pires/go-proxyproto"
	"go.uber.org/goleak"

	"kasgen/runtime/sniff"
	"kasgen/runtime/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	get     = "GET / HTTP/1.1\r\n\r\n"
	preface = sniff.Preface + "rest"
)

// handed is a connection as handle got it.
type handed struct {
	protocol sniff.Protocol
	conn     net.Conn
}

// listen serves on loopback; what is handed on comes out of the channel.
func listen(t *testing.T, o Options, handle func(sniff.Protocol, net.Conn)) (*Listener, string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.Log = slog.New(slog.DiscardHandler)
	l := New(ln, o, handle)
	served := make(chan error, 1)
	go func() { served <- l.Serve() }()
	t.Cleanup(func() {
		if err := errors.Join(l.Close(), <-served); err != nil {
			t.Error(err)
		}
	})
	return l, ln.Addr().String()
}

// queue is listen with a channel for what is handed on; the test closes it.
func queue(t *testing.T, o Options) (*Listener, string, <-chan handed) {
	t.Helper()
	c := make(chan handed, 16)
	l, address := listen(t, o, func(p sniff.Protocol, conn net.Conn) {
		t.Cleanup(func() { conn.Close() })
		c <- handed{p, conn}
	})
	return l, address, c
}

func dial(t *testing.T, address string) *net.TCPConn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

func send(t *testing.T, c io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// closed says that the other side has closed without a word.
func closed(t *testing.T, c net.Conn) {
	t.Helper()
	if b, err := io.ReadAll(c); len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection is not closed: %q, %v", b, err)
	}
}

func read(t *testing.T, c net.Conn, n int) string {
	t.Helper()
	b := make([]byte, n)
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, b); err != nil {
		t.Fatalf("%v after %q", err, b)
	}
	return string(b)
}

// certificate is one for localhost, of a CA that nobody knows.
func certificate(t *testing.T) *tls.Config {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "a.crt")
	if _, err := state.Ensure([]state.Item{{Path: filepath.Join(dir, "ca.crt"), Kind: state.CA}, {Path: path, Kind: state.Certificate, Names: []string{"localhost"}}}); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(path, state.KeyPath(path))
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1", "h2"}}
}

// TestClassify: every way to begin, with every byte kept.
func TestClassify(t *testing.T) {
	t.Parallel()
	serverTLS := certificate(t)
	header := func(version byte, source string) string {
		h := proxyproto.HeaderProxyFromAddrs(version, &net.TCPAddr{IP: net.ParseIP(source), Port: 1234}, &net.TCPAddr{IP: net.ParseIP("192.0.2.9"), Port: 443})
		text, err := h.Format()
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	local, err := (&proxyproto.Header{Version: 2, Command: proxyproto.LOCAL, TransportProtocol: proxyproto.UNSPEC}).Format()
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		proxy    byte
		tls      bool
		header   string
		send     string
		protocol sniff.Protocol // "": closed
		source   string         // by the PROXY header, "" if it names none
	}{
		"HTTP/1.1":                 {0, false, "", get, sniff.HTTP1, ""},
		"HTTP/2":                   {0, false, "", preface, sniff.HTTP2, ""},
		"almost HTTP/2":            {0, false, "", strings.Replace(preface, "SM", "SX", 1), sniff.HTTP1, ""},
		"one byte":                 {0, false, "", "x", sniff.HTTP1, ""},
		"TLS, HTTP/1.1":            {0, true, "", get, sniff.HTTP1, ""},
		"TLS, HTTP/2":              {0, true, "", preface, sniff.HTTP2, ""},
		"PROXY 1":                  {1, false, header(1, "192.0.2.1"), get, sniff.HTTP1, "192.0.2.1:1234"},
		"PROXY 2":                  {2, false, header(2, "192.0.2.1"), preface, sniff.HTTP2, "192.0.2.1:1234"},
		"PROXY 1 and TLS":          {1, true, header(1, "192.0.2.1"), preface, sniff.HTTP2, "192.0.2.1:1234"},
		"PROXY of any version, 1":  {AnyProxy, false, header(1, "192.0.2.1"), get, sniff.HTTP1, "192.0.2.1:1234"},
		"PROXY of any version, 2":  {AnyProxy, false, header(2, "192.0.2.1"), get, sniff.HTTP1, "192.0.2.1:1234"},
		"PROXY, the balancer's":    {2, false, string(local), get, sniff.HTTP1, ""},
		"PROXY 2, unspecified":     {2, false, "\r\n\r\n\x00\r\nQUIT\n\x21\x00\x00\x04\x04\x00\x01x", preface, sniff.HTTP2, ""},
		"PROXY 1, unknown":         {1, false, "PROXY UNKNOWN\r\n", get, sniff.HTTP1, ""},
		"PROXY 2 for 1":            {1, false, header(2, "192.0.2.1"), get, "", ""},
		"PROXY 1 for 2":            {2, false, header(1, "192.0.2.1"), get, "", ""},
		"no PROXY":                 {1, false, "", get, "", ""},
		"no PROXY, of any version": {AnyProxy, false, "", get, "", ""},
		"PROXY, malformed":         {1, false, "PROXY TCP4 x\r\n", get, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := Options{Proxy: tt.proxy, Handshake: 10 * time.Second, Sniff: 10 * time.Second}
			if tt.tls {
				o.TLS = serverTLS
			}
			_, address, c := queue(t, o)
			raw := dial(t, address)
			send(t, raw, tt.header)
			conn := net.Conn(raw)
			if tt.tls {
				conn = tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
			}
			send(t, conn, tt.send)
			if tt.protocol == "" {
				closed(t, raw)
				return
			}
			h := <-c
			if h.protocol != tt.protocol {
				t.Errorf("classified as %s", h.protocol)
			}
			if got := read(t, h.conn, len(tt.send)); got != tt.send {
				t.Errorf("read %q of %q", got, tt.send)
			}
			source, destination, ok := Proxied(h.conn)
			if ok != (tt.source != "") || ok && (source.String() != tt.source || h.conn.RemoteAddr().String() != tt.source || destination.String() != "192.0.2.9:443" || h.conn.LocalAddr().String() != "192.0.2.9:443") {
				t.Errorf("the header says %v to %v, %t; want %q", source, destination, ok, tt.source)
			}
			if !ok && h.conn.RemoteAddr().String() != raw.LocalAddr().String() {
				t.Errorf("the client is %v, want %v", h.conn.RemoteAddr(), raw.LocalAddr())
			}
			send(t, h.conn, "answer")
			if got := read(t, conn, 6); got != "answer" {
				t.Errorf("the client reads %q", got)
			}
			// The limits are over: whoever serves has its own.
			if err := sniff.CloseWrite(h.conn); err != nil {
				t.Error(err)
			}
			closed(t, conn)
		})
	}
}

// TestSilence: who says nothing, or not enough, is held no longer than the
// limits say, and is felt by nobody else.
func TestSilence(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		o      Options
		send   string
		silent bool // Silent is called
	}{
		"nothing":             {Options{Sniff: 300 * time.Millisecond}, "", true},
		"half of a preface":   {Options{Sniff: 300 * time.Millisecond}, "PRI * HTTP/2.0\r\n", true},
		"half of a header":    {Options{Proxy: 1, Handshake: 300 * time.Millisecond}, "PROXY TCP4 ", false},
		"no handshake":        {Options{TLS: certificate(t), Handshake: 300 * time.Millisecond}, "", false},
		"half of a handshake": {Options{TLS: certificate(t), Handshake: 300 * time.Millisecond}, "\x16\x03\x01\x02", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			silent := 0
			tt.o.Silent = func(net.Conn) { mu.Lock(); silent++; mu.Unlock() }
			_, address, c := queue(t, tt.o)
			quiet := dial(t, address)
			send(t, quiet, tt.send)
			if tt.o.Proxy == 0 && tt.o.TLS == nil {
				for range 3 {
					other := dial(t, address)
					send(t, other, get)
					if h := <-c; h.protocol != sniff.HTTP1 {
						t.Errorf("another connection: %s", h.protocol)
					}
				}
			}
			closed(t, quiet)
			mu.Lock()
			defer mu.Unlock()
			if got := silent == 1; got != tt.silent {
				t.Errorf("Silent was called %d times", silent)
			}
		})
	}
}

func TestGarbageHandshake(t *testing.T) {
	t.Parallel()
	_, address, _ := queue(t, Options{TLS: certificate(t), Handshake: 10 * time.Second})
	c := dial(t, address)
	send(t, c, get)
	// The alert, or nothing; what counts is the end.
	if _, err := io.ReadAll(c); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection is held")
	}
}

// hasPending returns when a connection has been accepted that is not handed on
// yet.
func (l *Listener) hasPending() {
	for n := 0; n == 0; runtime.Gosched() {
		l.mu.Lock()
		n = len(l.pending)
		l.mu.Unlock()
	}
}

// TestClose: connections that are not handed on yet end, those that are go on.
func TestClose(t *testing.T) {
	t.Parallel()
	l, address, c := queue(t, Options{Sniff: time.Minute})
	served, pending := dial(t, address), dial(t, address)
	send(t, served, get)
	h := <-c
	l.hasPending()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	closed(t, pending)
	if c, err := net.Dial("tcp", address); err == nil {
		c.Close()
		t.Error("it still listens")
	}
	send(t, h.conn, "answer")
	if got := read(t, served, 6); got != "answer" {
		t.Errorf("read %q", got)
	}
	if err := l.Close(); err != nil {
		t.Errorf("a second time: %v", err)
	}
	// One that is accepted at the moment of Close.
	one, other := net.Pipe()
	defer one.Close()
	l.begin(other)
	if _, err := one.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("accepted after Close: %v", err)
	}
}

// TestRetire: connections that were accepted are classified and served, and
// Settle waits for it.
func TestRetire(t *testing.T) {
	t.Parallel()
	serve, end := make(chan handed, 1), make(chan struct{})
	l, address := listen(t, Options{Sniff: time.Minute}, func(p sniff.Protocol, conn net.Conn) {
		defer conn.Close()
		serve <- handed{p, conn}
		<-end
	})
	late := dial(t, address)
	send(t, late, "PRI")
	l.hasPending()
	if err := l.Retire(); err != nil {
		t.Fatal(err)
	}
	if c, err := net.Dial("tcp", address); err == nil {
		c.Close()
		t.Error("it still listens")
	}
	settled := make(chan error, 1)
	go func() { settled <- l.Settle(t.Context()) }()
	send(t, late, " * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	if h := <-serve; h.protocol != sniff.HTTP2 {
		t.Errorf("classified as %s", h.protocol)
	}
	select {
	case err := <-settled:
		t.Errorf("settled while a connection is served: %v", err)
	default:
	}
	close(end)
	if err := <-settled; err != nil {
		t.Error(err)
	}
}

// troubled fails before it accepts.
type troubled struct {
	net.Listener
	mu   sync.Mutex
	left int
}

func (l *troubled) Accept() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.left > 0 {
		l.left--
		return nil, errors.New("too many open files")
	}
	return l.Listener.Accept()
}

// TestAcceptFails: out of descriptors is no reason to stop listening.
func TestAcceptFails(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan sniff.Protocol, 1)
	l := New(&troubled{Listener: ln, left: 3}, Options{Log: slog.New(slog.DiscardHandler)}, func(p sniff.Protocol, c net.Conn) {
		c.Close()
		got <- p
	})
	served := make(chan error, 1)
	go func() { served <- l.Serve() }()
	send(t, dial(t, ln.Addr().String()), get)
	if diff := cmp.Diff(sniff.HTTP1, <-got); diff != "" {
		t.Error(diff)
	}
	if err := errors.Join(l.Close(), <-served); err != nil {
		t.Error(err)
	}
}

// TestMany: connections of every kind at once come out as what they are.
func TestMany(t *testing.T) {
	t.Parallel()
	counted := make(chan string, 200)
	_, address := listen(t, Options{Sniff: 10 * time.Second}, func(p sniff.Protocol, c net.Conn) {
		defer c.Close()
		b, err := io.ReadAll(c)
		counted <- fmt.Sprintf("%s %d %v", p, len(b), err)
	})
	want := map[string]int{}
	var clients sync.WaitGroup
	for i := range 100 {
		text := get
		protocol := sniff.HTTP1
		if i%2 == 0 {
			text, protocol = preface, sniff.HTTP2
		}
		want[fmt.Sprintf("%s %d <nil>", protocol, len(text))]++
		c := dial(t, address)
		clients.Go(func() {
			for _, b := range []byte(text) { // in the smallest pieces
				if _, err := c.Write([]byte{b}); err != nil {
					t.Error(err)
					return
				}
			}
			if err := c.CloseWrite(); err != nil {
				t.Error(err)
			}
		})
	}
	clients.Wait()
	got := map[string]int{}
	for range 100 {
		got[<-counted]++
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
