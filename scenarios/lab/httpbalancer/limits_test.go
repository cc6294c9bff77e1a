package httpbalancer

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestLimits talks over an upgraded connection, and is silent: a life's end
// asks for neither, an idle limit only for silence.
func TestLimits(t *testing.T) {
	t.Parallel()
	const limit = time.Second
	for name, tt := range map[string]struct {
		o            Options
		talks, lives bool
	}{
		"no limit, silent":         {Options{}, false, true},
		"a life, that talks":       {Options{Life: limit}, true, false},
		"an idle limit, talking":   {Options{Idle: limit}, true, true},
		"an idle limit in silence": {Options{Idle: limit}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.o.Kind, tt.o.Backend = HTTP1, echo(t)
			b, client := start(t, tt.o)
			conn, err := tls.Dial("tcp", b.Addr().String(), client)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(30 * time.Second))
			fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: kas.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
			r := bufio.NewReader(conn)
			resp, err := http.ReadResponse(r, nil)
			if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
				t.Fatalf("%v, %v", resp, err)
			}
			if lived := lives(conn, r, tt.talks, 3*limit); lived != tt.lives {
				t.Errorf("lived through thrice the limit: %t", lived)
			}
		})
	}
}

// TestLifeOfAnswers: an answer that goes on is cut at the limit as well, be it of
// HTTP/1.1 or 2, and one that is over in time is not.
func TestLifeOfAnswers(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.URL.Path == "/endless" && r.Context().Err() == nil {
			if _, err := io.WriteString(w, "more"); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush() // fails with the next write
			time.Sleep(10 * time.Millisecond)
		}
		io.WriteString(w, "whole")
	}))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	for _, kind := range []Kind{HTTP1, HTTP2} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			b, config := start(t, Options{Kind: kind, Backend: s.Listener.Addr().String(), Life: time.Second})
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: kind == HTTP2}}
			t.Cleanup(client.CloseIdleConnections)
			for path, want := range map[string]bool{"/short": true, "/endless": false} {
				resp, err := client.Get("https://" + b.Addr().String() + path)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if whole := err == nil; whole != want || len(body) == 0 {
					t.Errorf("%s: %d bytes, %v", path, len(body), err)
				}
			}
		})
	}
}

// lives says whether a connection that echoes is there after that time.
func lives(conn io.ReadWriter, r *bufio.Reader, talks bool, after time.Duration) bool {
	echoed := func() bool {
		if _, err := io.WriteString(conn, "x"); err != nil {
			return false
		}
		_, err := r.ReadByte()
		return err == nil
	}
	end := time.After(after)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-end:
			return echoed()
		case <-tick.C:
			if talks && !echoed() {
				return false
			}
		}
	}
}

// echo is a backend that upgrades and sends back.
func echo(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.Copy(conn, rw)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}
