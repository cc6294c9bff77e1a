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
