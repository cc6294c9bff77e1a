package agent

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
)

// spdyHead is a request for an upgrade as kas sends it for kubectl.
func spdyHead(body *int64) http.Header {
	h := http.Header{"Upgrade": {"SPDY/3.1"}, "Connection": {"upgrade"}}
	if body == nil {
		h["Content-Length"] = []string{"0"}
	}
	return h
}

// upgraded serves a cluster that answers 101 to everything and gives the test
// the connection.
func upgraded(t *testing.T, early string, change ...func(*Options)) (*served, <-chan *bufio.ReadWriter, <-chan net.Conn) {
	t.Helper()
	streams, conns := make(chan *bufio.ReadWriter, 1), make(chan net.Conn, 1)
	s := serveCluster(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Proto != "HTTP/1.1" || r.TLS.NegotiatedProtocol != "http/1.1" {
			t.Errorf("upgrade by %s, ALPN %q", r.Proto, r.TLS.NegotiatedProtocol)
		}
		if _, err := io.ReadAll(r.Body); err != nil {
			t.Error(err)
		}
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		// One write, so that the bytes come with the head.
		_, err = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: SPDY/3.1\r\nConnection: Upgrade\r\n\r\n"+early)
		if err != nil {
			t.Error(err)
		}
		streams <- rw
		conns <- conn
	}, change...)
	return s, streams, conns
}

func TestUpgrade(t *testing.T) {
	t.Parallel()
	seen := make(chan Request, 1)
	s, streams, conns := upgraded(t, "early", func(o *Options) { o.OnRequest = func(r Request) { seen <- r } })
	tunnel := <-s.kas.tunnels
	tunnel.start(t, headOf("POST", "/exec", spdyHead(nil), length(0)))
	tunnel.http(t, trailerMessage())
	var got answer
	tunnel.until(t, &got, func() bool { return got.Upgraded == "early" })
	if diff := cmp.Diff([]string{"header", "http header", "http trailer", "upgrade data"}, got.Kinds); diff != "" {
		t.Error(diff)
	}
	if got.Head.GetStatusCode() != 101 || got.Head.GetHeader()["Upgrade"].GetValue()[0] != "SPDY/3.1" {
		t.Errorf("head %v", got.Head)
	}
	want := Request{Method: "POST", Path: "/exec", UpgradeRequested: "SPDY/3.1", Status: 101, UpgradeAnswered: "SPDY/3.1"}
	if diff := cmp.Diff(want, <-seen); diff != "" {
		t.Error(diff)
	}
	stream, conn := <-streams, <-conns
	defer conn.Close()

	tunnel.http(t, upgradeMessage("from the client "))
	tunnel.http(t, upgradeMessage("in pieces"))
	sent := make([]byte, len("from the client in pieces"))
	if _, err := io.ReadFull(stream, sent); err != nil || string(sent) != "from the client in pieces" {
		t.Errorf("the cluster got %q, %v", sent, err)
	}

	// After the client's end the cluster may still speak, as much as it likes.
	tunnel.send(t, closeSend())
	more := strings.Repeat("0123456789abcdef", 1<<14)
	if _, err := io.WriteString(conn, more); err != nil {
		t.Error(err)
	}
	tunnel.until(t, &got, func() bool { return got.Upgraded == "early"+more })

	// Its own end ends the call.
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	end := tunnel.rest(t)
	if diff := cmp.Diff(answer{Kinds: []string{"trailer"}}, end); diff != "" {
		t.Error(diff)
	}
}

// agentk does not pass a half-close on: only the end of the stream closes the
// connection to the cluster, and that at once.
func TestCancelClosesUpgraded(t *testing.T) {
	t.Parallel()
	s, streams, conns := upgraded(t, "")
	tunnel := <-s.kas.tunnels
	tunnel.start(t, headOf("POST", "/exec", spdyHead(nil), length(0)))
	tunnel.http(t, trailerMessage())
	stream, conn := <-streams, <-conns
	defer conn.Close()
	closed := make(chan error, 1)
	go func() {
		_, err := stream.ReadByte()
		closed <- err
	}()
	tunnel.send(t, closeSend())
	var got answer
	tunnel.until(t, &got, func() bool { return len(got.Kinds) == 3 })
	// The agent has read close_send by the time it echoes what comes after it.
	if _, err := io.WriteString(conn, "still here"); err != nil {
		t.Error(err)
	}
	tunnel.until(t, &got, func() bool { return got.Upgraded == "still here" })
	select {
	case err := <-closed:
		t.Fatalf("half-close reached the cluster: %v", err)
	default:
	}
	tunnel.end <- nil
	if err := <-closed; err == nil {
		t.Error("the cluster read a byte")
	}
}

// A body that goes with a request for an upgrade is written before the bytes
// of the new protocol.
func TestUpgradeWithBody(t *testing.T) {
	t.Parallel()
	s, streams, conns := upgraded(t, "")
	tunnel := <-s.kas.tunnels
	tunnel.start(t, headOf("POST", "/exec", spdyHead(length(1)), length(-1)))
	tunnel.http(t, dataMessage("body"))
	tunnel.http(t, trailerMessage())
	tunnel.http(t, upgradeMessage("!")) // before the 101 is here
	stream, conn := <-streams, <-conns
	if b, err := stream.ReadByte(); err != nil || b != '!' {
		t.Errorf("%q, %v", b, err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	if got := tunnel.rest(t); got.Code != codes.OK && got.Code != codes.Unavailable {
		t.Errorf("%v %s", got.Code, got.Message)
	}
}

// The API server may switch before it has read the request. What it reads must
// still be the request, and then the new protocol.
func TestSwitchBeforeTheBody(t *testing.T) {
	t.Parallel()
	got := make(chan string)
	const want = "4\r\nbody\r\n0\r\n\r\n!"
	s := serveCluster(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: SPDY/3.1\r\nConnection: Upgrade\r\n\r\n"); err != nil {
			t.Error(err)
		}
		sent := make([]byte, len(want))
		_, _ = io.ReadFull(rw, sent) // what is missing shows
		got <- string(sent)
	})
	for range 20 {
		tunnel := <-s.kas.tunnels
		tunnel.start(t, headOf("POST", "/exec", spdyHead(length(1)), length(-1)))
		tunnel.http(t, dataMessage("body"))
		tunnel.http(t, trailerMessage())
		tunnel.http(t, upgradeMessage("!"))
		if diff := cmp.Diff(want, <-got); diff != "" {
			t.Fatal(diff)
		}
		tunnel.rest(t)
	}
}

func TestUpgradeRefusedByTheCluster(t *testing.T) {
	t.Parallel()
	s := serveCluster(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "no exec for you", http.StatusForbidden)
	})
	head := headOf("POST", "/exec", spdyHead(nil), length(0))
	whole := []string{"header", "http header", "http data", "http trailer"}

	tunnel := <-s.kas.tunnels
	tunnel.request(t, head)
	got := tunnel.rest(t)
	if diff := cmp.Diff(append(whole, "trailer"), got.Kinds); diff != "" {
		t.Error(diff)
	}
	if got.Head.GetStatusCode() != 403 || got.Body != "no exec for you\n" {
		t.Errorf("%d %q", got.Head.GetStatusCode(), got.Body)
	}

	// The bytes of a protocol that nobody switched to are a fault.
	tunnel = <-s.kas.tunnels
	tunnel.start(t, head)
	tunnel.http(t, trailerMessage())
	got = answer{}
	tunnel.until(t, &got, func() bool { return len(got.Kinds) == len(whole) })
	tunnel.http(t, upgradeMessage("x"))
	if end := tunnel.rest(t); end.Code != codes.Internal {
		t.Errorf("%v %s", end.Code, end.Message)
	}
}

func TestSwitchUnasked(t *testing.T) {
	t.Parallel()
	s := serveClusterOver(t, false, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "SPDY/3.1")
		w.WriteHeader(http.StatusSwitchingProtocols)
	})
	tunnel := <-s.kas.tunnels
	tunnel.request(t, headOf("GET", "/", nil, length(0)))
	if got := tunnel.rest(t); got.Code != codes.Unavailable {
		t.Errorf("%v %s", got.Code, got.Message)
	}
}

// Heads before the answer are not the answer.
func TestInformationalHeads(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		heads int
		want  codes.Code
	}{{maxInformational, codes.OK}, {maxInformational + 1, codes.Unavailable}} {
		s := serveCluster(t, func(w http.ResponseWriter, _ *http.Request) {
			for range tt.heads {
				w.WriteHeader(http.StatusEarlyHints)
			}
			w.WriteHeader(http.StatusNotFound)
		})
		tunnel := <-s.kas.tunnels
		tunnel.request(t, headOf("POST", "/exec", spdyHead(nil), length(0)))
		if got := tunnel.rest(t); got.Code != tt.want {
			t.Errorf("%d heads: %v %s", tt.heads, got.Code, got.Message)
		}
	}
}
