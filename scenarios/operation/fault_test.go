package operation_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"kasgen/scenarios/lab/cluster"
	"kasgen/scenarios/operation"
)

// middle starts a proxy in front of the cluster, below a path prefix, and
// returns the way through it.
func middle(t *testing.T, c *cluster.Cluster, wrap func(http.Handler) http.Handler, change func(*httputil.ReverseProxy)) *rest.Config {
	t.Helper()
	config := c.RESTConfig()
	to, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	transport, err := rest.TransportFor(&rest.Config{TLSClientConfig: rest.TLSClientConfig{CAData: config.CAData, NextProtos: []string{"http/1.1"} /* upgrades need it */},
		Proxy: http.ProxyFromEnvironment /* not shared */})
	if err != nil {
		t.Fatal(err)
	}
	own := transport.(*http.Transport)
	own.DisableKeepAlives = true
	proxy := &httputil.ReverseProxy{
		Transport: own, FlushInterval: -1,
		Rewrite:  func(r *httputil.ProxyRequest) { r.SetURL(to) },
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
	if change != nil {
		change(proxy)
	}
	server := httptest.NewServer(http.StripPrefix("/k8s-proxy", wrap(proxy)))
	t.Cleanup(server.Close)
	return &rest.Config{Host: server.URL + "/k8s-proxy", BearerToken: config.BearerToken}
}

// closing is how long the operations give a stream, or their tidying up, to
// end.
const closing = 5 * time.Second

func unchanged(h http.Handler) http.Handler { return h }

func withoutUpgrade(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Connection")
		r.Header.Del("Upgrade")
		h.ServeHTTP(w, r)
	})
}

// withoutSPDY is how a load balancer that knows only WebSocket behaves.
func withoutSPDY(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Header.Get("Upgrade"), "SPDY") {
			http.Error(w, "no SPDY here", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// smallBodies is nginx's default limit.
func smallBodies(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > 1<<20 {
			http.Error(w, "too large", http.StatusRequestEntityTooLarge)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// buffered holds answers back until they are complete.
func buffered(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			h.ServeHTTP(w, r)
			return
		}
		held := httptest.NewRecorder()
		h.ServeHTTP(held, r)
		for name, values := range held.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(held.Code)
		_, _ = w.Write(held.Body.Bytes())
	})
}

// lateHead sends the head of an answer with the first byte of its body, as the
// real nginx may over HTTP/2 and TLS.
func lateHead(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(&late{ResponseWriter: w}, r) })
}

type late struct {
	http.ResponseWriter
	begun bool
}

func (l *late) Write(b []byte) (int, error) {
	l.begun = l.begun || len(b) > 0
	return l.ResponseWriter.Write(b)
}

func (l *late) FlushError() error {
	if !l.begun {
		return nil
	}
	return http.NewResponseController(l.ResponseWriter).Flush()
}

// flipping changes one bit of what comes back on upgraded connections, late.
func flipping(p *httputil.ReverseProxy) {
	p.ModifyResponse = func(r *http.Response) error {
		if body, ok := r.Body.(io.ReadWriteCloser); ok && r.StatusCode == http.StatusSwitchingProtocols {
			r.Body = &flipped{ReadWriteCloser: body}
		}
		return nil
	}
}

// flipped changes a byte of the payload by looking for a long read: the
// frames' heads are at its start.
type flipped struct {
	io.ReadWriteCloser
	read int
}

func (f *flipped) Read(b []byte) (int, error) {
	n, err := f.ReadWriteCloser.Read(b)
	f.read += n
	if f.read > 100<<10 && n > 600 {
		b[n/2] ^= 1
	}
	return n, err
}

// TestThroughProxies holds the operations to what a path can carry: they fail
// on one that spoils them, and only then.
func TestThroughProxies(t *testing.T) {
	t.Parallel()
	c, _ := start(t)
	upgrades := []string{"exec", "exec tty", "attach", "cp to pod", "cp from pod", "port-forward"}
	both := func(names ...string) (cells []string) {
		for _, name := range names {
			cells = append(cells, name+"/SPDY", name+"/WebSocket")
		}
		return cells
	}
	for _, test := range []struct {
		name   string
		wrap   func(http.Handler) http.Handler
		change func(*httputil.ReverseProxy)
		only   []string // operations to run; nil: all
		fail   []string
		within time.Duration // for those that fail; zero: as for the others
	}{
		{name: "good", wrap: unchanged},
		{name: "without upgrade", wrap: withoutUpgrade, fail: both(upgrades...)},
		{name: "without SPDY", wrap: withoutSPDY,
			fail: []string{"exec/SPDY", "exec tty/SPDY", "attach/SPDY", "cp to pod/SPDY", "cp from pod/SPDY", "port-forward/SPDY"}},
		{name: "small bodies", wrap: smallBodies, only: []string{"get", "post", "watch", "logs"}, fail: []string{"post/"}},
		{name: "buffered", wrap: buffered, only: []string{"get", "post", "watch", "logs"}, fail: []string{"watch/", "logs/"}, within: time.Second},
		{name: "head with the first byte", wrap: lateHead, only: []string{"get", "post", "watch", "logs"}},
		{name: "flipped bits", wrap: unchanged, change: flipping, only: []string{"exec", "cp from pod", "port-forward"},
			fail: both("exec", "cp from pod", "port-forward"), within: time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			config := middle(t, c, test.wrap, test.change)
			for _, o := range operation.All() {
				if test.only != nil && !slices.Contains(test.only, o.Name) {
					continue
				}
				for _, tr := range transports(o) {
					cell := o.Name + "/" + string(tr)
					fails := slices.Contains(test.fail, cell)
					within := 30 * time.Second
					if fails && test.within != 0 {
						within = test.within
					}
					ctx, cancel := context.WithTimeout(t.Context(), within)
					to := target(c, cell)
					to.Config = config
					begin := time.Now()
					err := o.Run(ctx, to, tr)
					cancel()
					if (err != nil) != fails {
						t.Errorf("%s: %v, want failure: %t", cell, err, fails)
					} else if err != nil {
						t.Logf("%s: %v", cell, err)
					}
					if took := time.Since(begin); took > within+2*closing {
						t.Errorf("%s took %s", cell, took)
					}
				}
			}
		})
	}
}

// TestFaults sees each operation fail on a target that is not what it ought
// to be, and say why.
func TestFaults(t *testing.T) {
	t.Parallel()
	c, _ := start(t)
	for _, test := range []struct {
		name   string
		change func(*operation.Target)
		want   string // in the error
		passes []string
	}{
		{"no such container", func(t *operation.Target) { t.Container = "other" }, "other", []string{"post", "watch", "port-forward"}},
		{"no such pod", func(t *operation.Target) { t.Pod = "other" }, "not found", []string{"post", "watch"}},
		{"no such namespace", func(t *operation.Target) { t.Namespace = "other" }, "not found", nil},
		{"wrong token", func(t *operation.Target) { t.Config.BearerToken = "x" }, "nauthorized", nil},
		{"nothing listens in the cluster", func(t *operation.Target) { t.Config.Host = "https://127.0.0.1:1" }, "refused", nil},
		{"another authority", func(t *operation.Target) { t.Config.CAData = nil }, "certificate", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, o := range operation.All() {
				for _, tr := range transports(o) {
					to := target(c, "fault")
					test.change(&to)
					ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
					err := o.Run(ctx, to, tr)
					cancel()
					switch passes := slices.Contains(test.passes, o.Name); {
					case passes && err != nil:
						t.Errorf("%s %s: %v", o.Name, tr, err)
					case !passes && (err == nil || !strings.Contains(err.Error(), test.want)):
						t.Errorf("%s %s: error %v, want one with %q", o.Name, tr, err, test.want)
					}
				}
			}
		})
	}
}

func TestClosedPort(t *testing.T) {
	t.Parallel()
	c, _ := start(t)
	for _, o := range operation.All() {
		if o.Name != "port-forward" {
			continue
		}
		for _, tr := range transports(o) {
			to := target(c, "closed port")
			to.RemotePort = 9
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			err := o.Run(ctx, to, tr)
			cancel()
			// The node says why on one stream and resets the other; client-go
			// reports whichever it hears of first.
			if err == nil || !strings.Contains(err.Error(), "connection refused") && !strings.Contains(err.Error(), "Stream reset") {
				t.Errorf("%s: %v", tr, err)
			}
		}
	}
}

func TestWrongTransport(t *testing.T) {
	t.Parallel()
	for _, o := range operation.All() {
		wrong := []operation.Transport{operation.SPDY, operation.WebSocket, "QUIC"}
		if o.Upgrades {
			wrong = []operation.Transport{operation.Plain, "QUIC"}
		}
		for _, tr := range wrong {
			if err := o.Run(t.Context(), operation.Target{Config: &rest.Config{}}, tr); err == nil {
				t.Errorf("%s over %q passed", o.Name, tr)
			}
		}
	}
}

// TestGivenUp cancels each operation early, at several moments, and sees it
// end soon, with nothing left in the cluster.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	c, _ := start(t)
	for _, after := range []time.Duration{0, 5 * time.Millisecond, 50 * time.Millisecond} {
		for _, o := range operation.All() {
			for _, tr := range transports(o) {
				ctx, cancel := context.WithTimeout(t.Context(), after)
				begin := time.Now()
				err := o.Run(ctx, target(c, "given up"), tr)
				cancel()
				if err == nil && after == 0 {
					t.Errorf("%s %s passed without any time", o.Name, tr)
				}
				if took := time.Since(begin); took > 5*time.Second {
					t.Errorf("%s %s took %s to end", o.Name, tr, took)
				}
			}
		}
	}
	awaitQuiet(t, c)
}
