package relay_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kasgen/runtime/relay"
	"kasgen/runtime/sniff"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair is two ends of one TCP connection.
func pair(t *testing.T) (near, far net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	near, err = net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if far, err = ln.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); far.Close() })
	_ = near.SetDeadline(time.Now().Add(20 * time.Second))
	return near, far
}

// opaque is a connection that cannot be spliced.
type opaque struct{ net.Conn }

func (o opaque) CloseWrite() error { return sniff.CloseWrite(o.Conn) }

// TestJoin sends both ways, bytes that were read ahead first, and ends one
// direction after the other.
func TestJoin(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(net.Conn) net.Conn{
		"spliced": func(c net.Conn) net.Conn { return c }, "copied": func(c net.Conn) net.Conn { return opaque{c} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, inner := pair(t)
			outer, server := pair(t)
			_ = server.SetDeadline(time.Now().Add(20 * time.Second))
			var g relay.Group
			done := make(chan struct{})
			g.Join(wrap(sniff.Replay(inner, []byte("early,"))), wrap(outer), relay.Options{Silence: time.Hour, Done: func() { close(done) }})
			io.WriteString(client, "late")
			_ = sniff.CloseWrite(client)
			if b, err := io.ReadAll(server); err != nil || string(b) != "early,late" {
				t.Errorf("the server got %q, %v", b, err)
			}
			io.WriteString(server, "answer")
			server.Close()
			if b, err := io.ReadAll(client); err != nil || string(b) != "answer" {
				t.Errorf("the client got %q, %v", b, err)
			}
			<-done
			if err := g.Wait(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestDrain(t *testing.T) {
	t.Parallel()
	client, inner := pair(t)
	outer, _ := pair(t)
	var g relay.Group
	g.Join(inner, outer, relay.Options{})
	over, cancel := context.WithCancel(context.Background())
	cancel()
	g.Drain(over)
	if _, err := client.Read(make([]byte, 1)); err == nil {
		t.Error("the stream outlived the drain")
	}
}

// TestEnds are the ends that options bring about.
func TestEnds(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		options relay.Options
		wrap    func(net.Conn) net.Conn
		half    bool
	}{
		"silence, spliced": {relay.Options{Silence: 100 * time.Millisecond}, func(c net.Conn) net.Conn { return c }, false},
		"silence, copied":  {relay.Options{Silence: 100 * time.Millisecond}, func(c net.Conn) net.Conn { return opaque{c} }, false},
		"together":         {relay.Options{Ends: relay.Together}, func(c net.Conn) net.Conn { return c }, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, inner := pair(t)
			outer, _ := pair(t) // whose other end keeps still
			var g relay.Group
			g.Join(tt.wrap(inner), tt.wrap(outer), tt.options)
			if tt.half {
				_ = sniff.CloseWrite(client)
			}
			if _, err := client.Read(make([]byte, 1)); err == nil {
				t.Error("a byte came from nowhere")
			}
			if err := g.Wait(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestWithServer: what the server sent before its end comes whole though the
// client still sends, the stream is over then, and a client's end ends its own
// direction alone.
func TestWithServer(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(net.Conn) net.Conn{
		"spliced": func(c net.Conn) net.Conn { return c }, "copied": func(c net.Conn) net.Conn { return opaque{c} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, inner := pair(t)
			outer, server := pair(t)
			var g relay.Group
			g.Join(wrap(inner), wrap(outer), relay.Options{Ends: relay.WithServer})
			io.WriteString(client, "x")
			io.ReadFull(server, make([]byte, 1))
			io.WriteString(server, strings.Repeat("y", 64<<10))
			server.Close()
			if b, err := io.ReadAll(client); err != nil || len(b) != 64<<10 {
				t.Errorf("the client got %d bytes, %v", len(b), err)
			}
			io.WriteString(client, "nobody reads this")
			if err := g.Wait(context.Background()); err != nil {
				t.Error(err)
			}

			client, inner = pair(t)
			outer, server = pair(t)
			g.Join(wrap(inner), wrap(outer), relay.Options{Ends: relay.WithServer})
			_ = sniff.CloseWrite(client)
			if _, err := server.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("the server read %v", err)
			}
			io.WriteString(server, "later")
			server.Close()
			if b, err := io.ReadAll(client); err != nil || string(b) != "later" {
				t.Errorf("the client got %q, %v", b, err)
			}
			if err := g.Wait(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestStuck ends a stream of which one side takes nothing, and not one that goes
// slowly.
func TestStuck(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(net.Conn) net.Conn{
		"spliced": func(c net.Conn) net.Conn { return c }, "copied": func(c net.Conn) net.Conn { return opaque{c} },
	} {
		for side, options := range map[string]relay.Options{
			"client": {ClientSend: 300 * time.Millisecond}, "server": {ServerSend: 300 * time.Millisecond},
		} {
			t.Run(name+" "+side, func(t *testing.T) {
				t.Parallel()
				client, inner := pair(t)
				outer, server := pair(t)
				from, to := server, client
				if side == "server" {
					from, to = client, server
				}
				var g relay.Group
				g.Join(wrap(inner), wrap(outer), options)
				sent := make(chan error, 1)
				go func() {
					var err error
					for err == nil {
						_, err = from.Write(make([]byte, 64<<10))
					}
					sent <- err
				}()
				_ = to.SetReadDeadline(time.Now().Add(20 * time.Second))
				begun := time.Now()
				for time.Since(begun) < time.Second { // a little now and then
					if _, err := io.ReadFull(to, make([]byte, 4<<20)); err != nil {
						t.Fatalf("a slow stream is cut: %v", err)
					}
					select {
					case err := <-sent:
						t.Fatalf("a slow stream is cut: %v", err)
					case <-time.After(20 * time.Millisecond):
					}
				}
				<-sent // from now on nothing is read
				if err := g.Wait(context.Background()); err != nil {
					t.Error(err)
				}
			})
		}
	}
}
