package probe

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kasgen/internal/cli"
	"kasgen/runtime/balancer/balancertest"
)

// TestWithToken asks a cluster through a real nginx.
func TestWithToken(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	address, dir := l.nginx(t, edit(t, goodNginx, "proxy_pass http://API;", "proxy_pass http://CLUSTER;"))
	o := l.options(t, address, dir)
	shell(&o)
	r := Run(t.Context(), o)
	for _, layer := range []ID{CheckRequest, CheckStreaming, CheckBody, CheckExecWebSocket, CheckExecSPDY} {
		if c, _ := r.Check(layer); c.Result != Pass {
			t.Errorf("%s: %s %s", layer, c.Result, c.Observed)
		}
	}
	// A kas that asks for credentials first cannot be told without a pod.
	for _, layer := range []ID{CheckUpWebSocket, CheckUpSPDY} {
		if c, _ := r.Check(layer); c.Result != Skip || !strings.Contains(c.Observed, "--token-file") {
			t.Errorf("%s: %s %s", layer, c.Result, c.Observed)
		}
	}
	if r.Failed() {
		t.Error(r.First)
	}
}

// TestAgentToTLS: the front is fine and kas answers; its agent speaks cleartext
// to the cluster's API, whose answer is the one of a kas with TLS.
func TestAgentToTLS(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	kas := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			status(w, http.StatusUnauthorized, "Unauthorized")
			return
		}
		_, _ = io.Copy(io.Discard, r.Body) // what is missing of it the answer shows
		resp, err := http.Get("http://" + l.tls + r.URL.Path)
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body) // the probe says what it misses
	}))
	t.Cleanup(kas.Close)
	address, dir := l.nginx(t, edit(t, goodNginx, "proxy_pass http://API;", "proxy_pass http://"+kas.Listener.Addr().String()+";"))
	o := l.options(t, address, dir)
	shell(&o)
	r := Run(t.Context(), o)
	for _, id := range []ID{CheckRequest, CheckBody} {
		if c, _ := r.Check(id); c.Code != codeDenied || !strings.Contains(c.Why, "the agent speaks http") || c.At != nil {
			t.Errorf("%+v", c)
		}
	}
	if r.First == nil || r.First.ID != CheckRequest {
		t.Errorf("the first is %+v", r.First)
	}
}

// TestTokenStaysHome probes with a token where the certificate does not hold,
// and where the server gives back what it is sent.
func TestTokenStaysHome(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := 0
	echo := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.Header.Get("Authorization") != "" {
			seen++
		}
		w.Header().Set("Server", r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprintf(w, `{"kind":"Status","message":"\u001b[31m you sent %s"}`, r.Header.Get("Authorization"))
	}))
	echo.Config.ErrorLog = log.New(io.Discard, "", 0)
	echo.StartTLS()
	t.Cleanup(echo.Close)
	u, err := url.Parse("https://example.com") // httptest's certificate names it
	if err != nil {
		t.Fatal(err)
	}
	for _, trusted := range []bool{false, true} {
		o := Options{KAS: u, Connect: map[string]string{"": echo.Listener.Addr().String()}, Token: token, Namespace: "default", Pod: "shell", Timeout: 5 * time.Second}
		o.Roots = newAuthority(t).pool
		if trusted {
			o.Roots.AddCert(echo.Certificate())
		}
		r := Run(t.Context(), o)
		var out bytes.Buffer
		for _, f := range []cli.Format{cli.Text, cli.JSON, cli.JUnit} {
			if err := r.Write(&out, f); err != nil {
				t.Fatal(err)
			}
		}
		if strings.Contains(out.String(), "secret-token") || strings.Contains(out.String(), "\x1b") {
			t.Errorf("the token or an escape is printed: %s", &out)
		}
		mu.Lock()
		if (seen > 0) != trusted {
			t.Errorf("trusted %v: the token was sent %d times: %s", trusted, seen, &out)
		}
		mu.Unlock()
	}
}

// TestProxyProtocol speaks to the edge as its balancer does.
func TestProxyProtocol(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	o := l.options(t, l.edge, "")
	o.ProxyProtocol = "v2"
	if r := Run(t.Context(), o); r.Failed() {
		t.Errorf("%+v", r)
	} else if c, _ := r.Check(CheckProxyHeader); c.Result != Pass {
		t.Errorf("%+v", c)
	} else if c, _ := r.Check(CheckGRPCNoALPN); c.Result != Pass {
		t.Errorf("the edge looks at the first bytes: %+v", c)
	}
	o.ProxyProtocol = "v1"
	if c, _ := Run(t.Context(), o).Check(CheckProxyHeader); c.Code != codeProxy || !strings.Contains(c.Observed, "v2, not v1") {
		t.Errorf("%+v", c)
	}
}

// TestTwoNames probes gRPC under a name of its own, at an address of its own.
func TestTwoNames(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	web, _ := l.haproxy(t, goodTerminating)
	rpc, _ := l.nginx(t, edit(t, goodNginx, "server_name kas.example.com", "server_name kas-grpc.example.com"))
	o := l.options(t, web, "")
	o.GRPC = &url.URL{Scheme: "grpcs", Host: "kas-grpc.example.com"}
	o.Connect["kas-grpc.example.com"] = rpc
	r := Run(t.Context(), o)
	if r.Failed() {
		t.Errorf("%+v", r)
	}
	names := map[ID][]string{}
	for _, c := range r.Checks {
		names[c.ID] = append(names[c.ID], c.Name)
	}
	if !slices.Equal(names[CheckTLS], []string{labName, "kas-grpc.example.com"}) || !slices.Equal(names[CheckGRPC], []string{"kas-grpc.example.com"}) {
		t.Errorf("%v", names)
	}
	// The first name's failure does not touch the second.
	o.Connect[""] = l.dead
	r = Run(t.Context(), o)
	if r.First == nil || r.First.ID != CheckTCP || r.First.Name != labName {
		t.Errorf("%+v", r.First)
	}
	for _, c := range r.Checks {
		if c.ID == CheckGRPC && c.Result != Pass {
			t.Errorf("%+v", c)
		}
	}
}

// TestSilentCut finds a limit that nobody is told of, by bisection, for each
// kind of stream: a middlebox that forgets a connection and drops what comes
// later.
func TestSilentCut(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	address, _ := l.nginx(t, edit(t, goodNginx, "proxy_pass http://API;", "proxy_pass http://CLUSTER;"))
	const limit = 1500 * time.Millisecond
	o := l.options(t, forgetful(t, address, limit), "")
	shell(&o)
	o.Timeout, o.Idle = 2*time.Second, 4*time.Second
	r := Run(t.Context(), o)
	for _, id := range []ID{CheckIdleWebSocket, CheckIdleGRPC, CheckIdleHTTP, CheckIdleExecWS, CheckIdleExecSPDY} {
		c, _ := r.Check(id)
		if c.Code != codeIdle || !strings.Contains(c.Observed, "without a word") || c.Result != Fail {
			t.Errorf("%+v", c)
		}
		brackets(t, string(id), c, limit)
	}
}

// forgetful relays to address until a connection has been silent for limit,
// and then drops what comes.
func forgetful(t testing.TB, address string, limit time.Duration) string {
	t.Helper()
	return relayOn(t, "127.0.0.1:0", func(c net.Conn) { relayUntilSilent(c, address, limit) })
}

// relayOn serves connections until the test ends.
func relayOn(t testing.TB, listen string, serve func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		t.Error(err)
		return ""
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			all.Go(func() { serve(c) })
		}
	})
	t.Cleanup(func() { ln.Close(); all.Wait() })
	return ln.Addr().String()
}

func relayUntilSilent(client net.Conn, address string, limit time.Duration) {
	defer client.Close()
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer server.Close()
	var mu sync.Mutex
	last := time.Now()
	alive := func() bool {
		mu.Lock()
		defer mu.Unlock()
		if time.Since(last) > limit {
			return false
		}
		last = time.Now()
		return true
	}
	var both sync.WaitGroup
	pass := func(to, from net.Conn) {
		buffer := make([]byte, 32<<10)
		for {
			n, err := from.Read(buffer)
			if err != nil {
				to.Close()
				return
			}
			if alive() {
				if _, err := to.Write(buffer[:n]); err != nil {
					return
				}
			}
		}
	}
	both.Go(func() { pass(server, client) })
	both.Go(func() { pass(client, server) })
	both.Wait()
}

// TestNobody has a name that does not exist and an address where nobody is.
func TestNobody(t *testing.T) {
	t.Parallel()
	u := &url.URL{Scheme: "https", Host: "kas.invalid"}
	r := Run(t.Context(), Options{KAS: u})
	if c := r.Checks[0]; c.Code != codeName || r.First.ID != CheckName {
		t.Errorf("%+v", c)
	}
	r = Run(t.Context(), Options{KAS: u, Connect: map[string]string{"": balancertest.FreePort(t)}})
	if c := r.Checks[1]; c.Code != codeTCP || !strings.Contains(c.Observed, "refuses") {
		t.Errorf("%+v", c)
	}
	for _, c := range r.Checks[2:] {
		if c.Result != Skip || !strings.Contains(c.Observed, "tcp of kas.invalid") {
			t.Errorf("%+v", c)
		}
	}
}

// TestDeaf accepts connections and says nothing.
func TestDeaf(t *testing.T) {
	t.Parallel()
	deaf := relayOn(t, "127.0.0.1:0", func(c net.Conn) { _, _ = io.Copy(io.Discard, c); c.Close() })
	u := &url.URL{Scheme: "https", Host: labName}
	r := Run(t.Context(), Options{KAS: u, Timeout: 200 * time.Millisecond, Connect: map[string]string{"": deaf}})
	if c, _ := r.Check(CheckTLS); c.Code != codeTLS || !strings.Contains(c.Observed, "no answer to the handshake") {
		t.Errorf("%+v", c)
	}
}

// TestALPN has listeners that take one protocol and refuse the others.
func TestALPN(t *testing.T) {
	t.Parallel()
	for offer, want := range map[string]Result{"acme-tls/1": Fail, "http/1.1": Warn} {
		s := httptest.NewUnstartedServer(http.NotFoundHandler())
		s.Config.ErrorLog = log.New(io.Discard, "", 0)
		s.TLS = &tls.Config{NextProtos: []string{offer}}
		s.Config.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){} // no more than offered
		s.StartTLS()
		t.Cleanup(s.Close)
		r := Run(t.Context(), Options{KAS: &url.URL{Scheme: "https", Host: labName}, Timeout: 5 * time.Second, Connect: map[string]string{"": s.Listener.Addr().String()}})
		if c, _ := r.Check(CheckALPN); c.Result != want || c.Code != codeALPN || !strings.Contains(c.Observed, "refused") {
			t.Errorf("%s: %+v", offer, c)
		}
		if c, _ := r.Check(CheckGRPC); c.Code != codeGRPC {
			t.Errorf("%s: %+v", offer, c)
		}
	}
}
