package cluster

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
)

// cable is a TCP relay that can be cut.
type cable struct {
	listener net.Listener
	mu       sync.Mutex
	ends     []net.Conn
	relays   sync.WaitGroup
}

func newCable(t *testing.T, to string) *cable {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{listener: listener}
	c.relays.Go(func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				_ = near.Close()
				continue
			}
			c.mu.Lock()
			c.ends = append(c.ends, near, far)
			c.mu.Unlock()
			for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
				c.relays.Go(func() {
					_, _ = io.Copy(way[0], way[1])
					_ = way[0].Close()
				})
			}
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		c.cut()
		c.relays.Wait()
	})
	return c
}

// cut resets every connection, as a client that is killed and a network that
// fails do.
func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, end := range c.ends {
		_ = end.(*net.TCPConn).SetLinger(0)
		_ = end.Close()
	}
	c.ends = nil
}

func executor(t *testing.T, config *rest.Config, protocol, path string) remotecommand.Executor {
	t.Helper()
	address, err := url.Parse(config.Host + "/api/v1/namespaces/default/pods/demo/" + path)
	if err != nil {
		t.Fatal(err)
	}
	var e remotecommand.Executor
	if protocol == "websocket" {
		e, err = remotecommand.NewWebSocketExecutor(config, http.MethodGet, address.String())
	} else {
		e, err = remotecommand.NewSPDYExecutor(config, http.MethodPost, address)
	}
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// firstLine closes its channel at the first newline.
type firstLine struct {
	once sync.Once
	seen chan struct{}
}

func (f *firstLine) Write(b []byte) (int, error) {
	if strings.Contains(string(b), "\n") {
		f.once.Do(func() { close(f.seen) })
	}
	return len(b), nil
}

func TestCutConnection(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"SPDY/3.1", "websocket"} {
		for name, path := range map[string]string{
			"silent":   "exec?stdout=1&command=sh&command=-c&command=" + url.QueryEscape("echo started; sleep 600"),
			"printing": "exec?stdout=1&command=sh&command=-c&command=" + url.QueryEscape("echo started; cat /dev/zero"),
			"reading":  "exec?stdout=1&stdin=1&command=sh&command=-c&command=" + url.QueryEscape("echo started; cat; sleep 600"),
			"terminal": "exec?stdout=1&stdin=1&tty=1&command=sh&command=-c&command=" + url.QueryEscape("echo started; sleep 600"),
			"attached": "attach?stdout=1&stdin=1",
		} {
			t.Run(protocol+" "+name, func(t *testing.T) {
				t.Parallel()
				l := startLab(t)
				config := l.RESTConfig()
				cable := newCable(t, strings.TrimPrefix(config.Host, "https://"))
				config.Host = "https://" + cable.listener.Addr().String()

				out := &firstLine{seen: make(chan struct{})}
				options := remotecommand.StreamOptions{Stdout: out, Tty: strings.Contains(path, "tty=1")}
				stdin, typed := io.Pipe()
				if strings.Contains(path, "stdin=1") {
					options.Stdin = stdin
				}
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				ended := make(chan error, 1)
				go func() { ended <- executor(t, config, protocol, path).StreamWithContext(ctx, options) }()
				select {
				case <-out.seen:
				case err := <-ended:
					t.Fatalf("it ended before it was cut: %v", err)
				}
				cable.cut()
				l.quiet(t)
				_ = typed.Close()
				// client-go takes the end of a SPDY connection for success.
				if err := <-ended; err == nil && protocol == "websocket" {
					t.Error("the client was told of success")
				}
			})
		}
	}
}

// TestCloseEndsStreams closes the cluster under running commands.
func TestCloseEndsStreams(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"SPDY/3.1", "websocket"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			l := startLab(t)
			out := &firstLine{seen: make(chan struct{})}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			ended := make(chan error, 1)
			go func() {
				path := "exec?stdout=1&command=sh&command=-c&command=" + url.QueryEscape("echo started; sleep 600")
				ended <- executor(t, l.RESTConfig(), protocol, path).StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: out})
			}()
			<-out.seen
			closed := make(chan error, 1)
			go func() { closed <- l.Close() }()
			select {
			case err := <-closed:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(5 * time.Second):
				t.Fatal("Close waits for a stream")
			}
			// client-go takes the end of a SPDY connection for success.
			if err := <-ended; err == nil && protocol == "websocket" || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the client ended with %v", err)
			}
		})
	}
}
