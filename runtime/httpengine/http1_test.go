package httpengine_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"kasgen/runtime/httpengine"
)

// TestHTTP1Upgrade sends bytes before and with the 101, both ways, and ends
// each direction by itself.
func TestHTTP1Upgrade(t *testing.T) {
	t.Parallel()
	ln := listen(t)
	heard := make(chan string, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		r := bufio.NewReader(c)
		if _, err := http.ReadRequest(r); err != nil {
			return
		}
		fmt.Fprint(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\nearly answer;")
		b, _ := io.ReadAll(r)
		heard <- string(b)
		fmt.Fprint(c, "late answer")
	}()
	done := make(chan struct{})
	_, address := serve(t, http1To(to(ln.Addr().String()), httpengine.HTTP1Options{Upgraded: func() { close(done) }}), both())
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprint(c, "POST /x HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\nearly;")
	r := bufio.NewReader(c)
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != 101 || resp.Header.Get("Upgrade") != "SPDY/3.1" {
		t.Fatalf("got %v, %v", resp, err)
	}
	fmt.Fprint(c, "late")
	_ = c.(*net.TCPConn).CloseWrite()
	if got := <-heard; got != "early;late" {
		t.Errorf("the upstream got %q", got)
	}
	b, err := io.ReadAll(r)
	if got := string(b); err != nil || got != "early answer;late answer" {
		t.Errorf("the client got %q, %v", got, err)
	}
	<-done
}

func TestHTTP1Plain(t *testing.T) {
	t.Parallel()
	ln := listen(t)
	backend := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Target", r.RequestURI)
		w.Header().Set("X-Length", fmt.Sprint(r.ContentLength))
		fmt.Fprintf(w, "%s %s", r.Method, b)
	})}
	go backend.Serve(ln)
	defer backend.Close()
	_, address := serve(t, http1To(to(ln.Addr().String()), httpengine.HTTP1Options{}), both())
	resp := get(t, address, "/a%2Fb/../c?%zz")
	b, _ := io.ReadAll(resp.Body)
	if string(b) != "GET " || resp.Header.Get("X-Target") != "/a%2Fb/../c?%zz" {
		t.Errorf("got %q %v", b, resp.Header)
	}
	for _, length := range []int64{-1, 6} {
		req, _ := http.NewRequest("POST", "http://"+address+"/x", strings.NewReader("what ?"))
		req.ContentLength = length
		req.Close = true
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(b) != "POST what ?" || resp.Header.Get("X-Length") != fmt.Sprint(length) {
			t.Errorf("length %d: got %q %v", length, b, resp.Header)
		}
	}
}
