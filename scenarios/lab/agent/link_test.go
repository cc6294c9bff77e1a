package agent

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/keepalive"
)

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, url, token, want string }{
		{"no token", "grpc://kas", "", "no token"},
		{"other scheme", "https://kas", "t", `the scheme "https"`},
		{"no host", "grpcs://", "t", "names no host"},
		{"path over gRPC", "grpcs://kas/-/kubernetes-agent/", "t", "no place for the path"},
		{"query", "wss://kas/?a=b", "t", "query"},
		{"user", "wss://me:secret@kas/", "t", "user"},
		{"not a URL", "wss://me:secret@kas:port/", "t", "invalid port"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := New(Options{KasURL: tt.url, Token: tt.token})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			} else if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error tells the password: %v", err)
			}
		})
	}
}

// Agents ping a silent connection each 55 s; kas allows each 20 s.
func TestKeepalive(t *testing.T) {
	t.Parallel()
	want := keepalive.ClientParameters{Time: 55 * time.Second, PermitWithoutStream: true}
	if diff := cmp.Diff(want, keepaliveParameters()); diff != "" {
		t.Error(diff)
	}
}

// reach starts a kas for scheme and says at which URL, and whom to trust.
func reach(t *testing.T, scheme string) (k *fakeKAS, at string, roots *x509.CertPool) {
	t.Helper()
	switch scheme {
	case "ws", "wss":
		k = newFakeKAS()
		start := (*httptest.Server).Start
		if scheme == "wss" {
			start = (*httptest.Server).StartTLS
		}
		s := k.serveWebSocket(t, start)
		if scheme == "wss" {
			roots = poolOf(s)
		}
		return k, scheme + strings.TrimLeft(s.URL, "htps") + "/-/kubernetes-agent/", roots
	case "grpcs":
		s := httptest.NewTLSServer(nil) // for its certificate
		defer s.Close()
		k = newFakeKAS(withTLS(&tls.Config{Certificates: s.TLS.Certificates, MinVersion: tls.VersionTLS12}))
		return k, "grpcs://" + k.serve(t), poolOf(s)
	default:
		k = newFakeKAS()
		return k, "grpc://" + k.serve(t), nil
	}
}

func TestWayToKas(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"ws", "wss", "grpc", "grpcs"} {
		t.Run(scheme, func(t *testing.T) {
			t.Parallel()
			k, at, roots := reach(t, scheme)
			a := run(t, Options{KasURL: at, RootCAs: roots, Headers: http.Header{"X-Route": {"blue"}}})
			<-a.Ready()
			for range minIdle {
				<-k.tunnels
			}
			handshakes, calls := k.seen()
			overWebSocket := strings.HasPrefix(scheme, "ws")
			authority := strings.TrimPrefix(at, scheme+"://")
			var route []string
			if overWebSocket {
				authority = strings.ReplaceAll(at, "/", "%2F")
			} else {
				route = []string{"blue"}
			}
			for _, c := range calls {
				if c.compression != "gzip" {
					t.Errorf("%s is compressed by %q", c.method, c.compression)
				}
				got := map[string][]string{}
				for _, name := range []string{":authority", "authorization", "x-route"} {
					got[name] = c.metadata.Get(name)
				}
				want := map[string][]string{
					":authority": {authority}, "authorization": {"Bearer token-of-agent"}, "x-route": route,
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s: %s", c.method, diff)
				}
				if ua := c.metadata.Get("user-agent"); len(ua) != 1 || !strings.HasPrefix(ua[0], "gitlab-agent/v1.2.3/abcdef0") {
					t.Errorf("user-agent %q", ua)
				}
			}
			if !overWebSocket {
				return
			}
			if len(handshakes) != 1 {
				t.Fatalf("%d handshakes", len(handshakes))
			}
			checkHandshake(t, handshakes[0])
		})
	}
}

func checkHandshake(t *testing.T, r *http.Request) {
	t.Helper()
	got := map[string][]string{"Path": {r.URL.Path}}
	for _, name := range []string{"User-Agent", "Authorization", "Sec-Websocket-Protocol", "Sec-Websocket-Extensions", "X-Route"} {
		got[name] = r.Header.Values(name)
	}
	want := map[string][]string{
		"Path":                     {"/-/kubernetes-agent/"},
		"User-Agent":               {"gitlab-agent/v1.2.3/abcdef0"},
		"Authorization":            {"Bearer token-of-agent"},
		"Sec-Websocket-Protocol":   {"ws-tunnel"},
		"Sec-Websocket-Extensions": nil, // no compression
		"X-Route":                  {"blue"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// grpcs offers h2 alone: what kubectl's and a balancer's preference depend on.
func TestALPN(t *testing.T) {
	t.Parallel()
	offered := make(chan []string, 1)
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	k := newFakeKAS(withTLS(&tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			select {
			case offered <- h.SupportedProtos:
			default:
			}
			return &tls.Config{Certificates: s.TLS.Certificates, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12}, nil
		},
	}))
	run(t, Options{KasURL: "grpcs://" + k.serve(t), RootCAs: poolOf(s)})
	if diff := cmp.Diff([]string{"h2"}, <-offered); diff != "" {
		t.Error(diff)
	}
}

// The lab's names do not resolve: Dial gets them as they are.
func TestDialIsAskedByName(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ url, scheme, want string }{
		{"ws://kas.example.com/path", "ws", "kas.example.com:80"},
		{"wss://kas.example.com", "wss", "kas.example.com:443"},
		{"grpc://kas.example.com", "grpc", "kas.example.com:80"},
		{"grpcs://kas.example.com", "grpcs", "kas.example.com:443"},
		{"grpcs://kas.example.com:8443", "grpcs", "kas.example.com:8443"},
	} {
		t.Run(tt.url, func(t *testing.T) {
			t.Parallel()
			k, at, roots := reach(t, tt.scheme)
			u, err := url.Parse(at)
			if err != nil {
				t.Fatal(err)
			}
			asked := make(chan string, 10)
			a := run(t, Options{KasURL: tt.url, RootCAs: roots, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
				asked <- network + " " + address
				return (&net.Dialer{}).DialContext(ctx, network, u.Host)
			}})
			if got := <-asked; got != "tcp "+tt.want {
				t.Errorf("dialled %s", got)
			}
			<-a.Ready() // httptest's certificate holds for *.example.com
			<-k.tunnels
		})
	}
}

// refusing is a WebSocket server that does the handshake its own way.
func refusing(t *testing.T, handler http.HandlerFunc) {
	t.Helper()
	asked := make(chan struct{}, 100)
	var handlers sync.WaitGroup // Close does not wait for those that hijacked
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handlers.Add(1)
		defer handlers.Done()
		handler(w, r)
		asked <- struct{}{}
	}))
	t.Cleanup(func() { s.Close(); handlers.Wait() })
	a := run(t, Options{KasURL: "ws" + strings.TrimPrefix(s.URL, "http") + "/kas"})
	<-asked
	select {
	case <-a.Ready():
		t.Error("the agent is ready")
	default:
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 10)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Path
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}))
	t.Cleanup(s.Close)
	d := newWebSocketDialer(&Options{KasURL: "ws" + strings.TrimPrefix(s.URL, "http") + "/kas"}, "agent")
	defer d.client.CloseIdleConnections()
	if conn, err := d.dial(t.Context(), ""); err == nil {
		t.Error("connected")
		_ = conn.Close()
	}
	if len(asked) != 1 || <-asked != "/kas" {
		t.Error("the redirect was followed")
	}
}

func TestWebSocketRules(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		protocols []string
		kind      websocket.MessageType
		size      int
		want      websocket.StatusCode
	}{
		{"no subprotocol", nil, 0, 0, websocket.StatusProtocolError},
		{"text message", []string{subprotocol}, websocket.MessageText, 1, websocket.StatusUnsupportedData},
		{"message above 10 MiB", []string{subprotocol}, websocket.MessageBinary, readLimit + 1, websocket.StatusMessageTooBig},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := make(chan websocket.StatusCode, 100)
			refusing(t, func(w http.ResponseWriter, r *http.Request) {
				ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: tt.protocols})
				if err != nil {
					t.Error(err)
					return
				}
				defer ws.CloseNow()
				ws.SetReadLimit(-1)
				var wrote chan error
				if tt.kind != 0 {
					wrote = make(chan error, 1)
					go func() { wrote <- ws.Write(context.Background(), tt.kind, ignoredFrames(tt.size)) }()
				}
				for {
					if _, _, err = ws.Read(context.Background()); err != nil {
						break
					}
				}
				if wrote != nil {
					<-wrote
				}
				got <- websocket.CloseStatus(err) // -1 for any other end
			})
			if code := <-got; code != tt.want {
				t.Errorf("close code %d, want %d", code, tt.want)
			}
		})
	}
}

// ignoredFrames is a message of at least size bytes of HTTP/2 that a client
// accepts: empty SETTINGS and then frames of a type that it must ignore.
func ignoredFrames(size int) []byte {
	b := append(make([]byte, 0, size+1<<15), 0, 0, 0, 4, 0, 0, 0, 0, 0)
	const payload = 16 << 10
	frame := append([]byte{0, payload >> 8, 0, 0xee, 0, 0, 0, 0, 0}, make([]byte, payload)...)
	for len(b) < size {
		b = append(b, frame...)
	}
	return b
}

// Two agents, one a way each, do not disturb each other and stop cleanly.
func TestTwoAgents(t *testing.T) {
	t.Parallel()
	cluster := httptest.NewTLSServer(withVersion(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(r.URL.Path))
	}))
	t.Cleanup(cluster.Close)
	for _, scheme := range []string{"ws", "grpc"} {
		k, at, _ := reach(t, scheme)
		a, err := New(Options{KasURL: at, Token: "t", Cluster: clusterOf(cluster)})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- a.Run(ctx) }()
		t.Cleanup(func() {
			idle := <-k.tunnels // one is idle while the agent stops
			begun := time.Now()
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			if took := time.Since(begun); took > 3*time.Second {
				t.Errorf("%s: stopping took %v", scheme, took)
			}
			<-idle.stream.Context().Done()
		})
		for range 20 {
			tunnel := <-k.tunnels
			tunnel.request(t, headOf("GET", "/"+scheme, nil, length(0)))
			if got := tunnel.rest(t); got.Body != "/"+scheme {
				t.Errorf("answer %q", got.Body)
			}
		}
	}
}
