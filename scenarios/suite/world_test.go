package suite

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"kasgen/generator"
	"kasgen/generator/spec"
	kasgenruntime "kasgen/runtime"
	"kasgen/runtime/accept"
	"kasgen/runtime/host"
	"kasgen/runtime/http1"
	"kasgen/runtime/sniff"
	"kasgen/runtime/state"
	"kasgen/scenarios/lab"
)

func topologies() []string { return []string{"A", "B", "D", "packaged"} }

// world is a topology that runs with something else in kas's place.
type world struct {
	ca    string // PEM
	names map[string]string
	at    map[string]string // by name
}

// newWorld renders a topology and runs everything but kas; agent is what its
// upstreams for agents are.
func newWorld(t *testing.T, topology, agent string) *world {
	t.Helper()
	dir := t.TempDir()
	bundle, stateDir := filepath.Join(dir, "bundle"), filepath.Join(dir, "state")
	s, findings := spec.Read("kasgen.yaml", []byte(spec.Example), []spec.Override{{Field: "topology", Text: topology, Source: "--topology"}})
	if s == nil {
		t.Fatal(findings)
	}
	rendered, err := generator.Render(s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rendered.Write(bundle, false); err != nil {
		t.Fatal(err)
	}
	redirect := lab.NewRedirect(func(string, string) {})
	base := host.Machine(slog.New(slog.DiscardHandler))
	w := &world{names: map[string]string{}, at: map[string]string{}}
	ctx, stop := context.WithCancel(context.Background())
	var roles errgroup.Group
	t.Cleanup(func() {
		stop()
		if err := roles.Wait(); err != nil {
			t.Error(err)
		}
	})
	for _, role := range []kasgenruntime.Role{kasgenruntime.Edge, kasgenruntime.Front} {
		b, err := kasgenruntime.Read(bundle, role)
		if err != nil {
			if role == kasgenruntime.Edge && !exists(filepath.Join(bundle, "edge")) {
				continue
			}
			t.Fatal(err)
		}
		redirect.Path(b.Lock.StateDir, stateDir)
		items := b.Development(stateDir)
		if _, err := state.Ensure(items); err != nil {
			t.Fatal(err)
		}
		for _, i := range items {
			if i.Kind == state.CA {
				pem, err := os.ReadFile(i.Path)
				if err != nil {
					t.Fatal(err)
				}
				w.ca, base.Roots = string(pem), x509.NewCertPool()
				base.Roots.AppendCertsFromPEM(pem)
			}
		}
		redirect.Name(s.KAS.Listen.Agent, agent)
		h := redirect.Host(base)
		r, err := b.Start(ctx, h, h, "test")
		if err != nil {
			t.Fatal(err)
		}
		roles.Go(func() error { return r.Serve(ctx) })
		w.find(t, b, redirect)
	}
	return w
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

// find notes where agents connect.
func (w *world) find(t *testing.T, b *kasgenruntime.Bundle, r *lab.Redirect) {
	t.Helper()
	kas := b.Lock.Names.KAS
	grpcs := kas
	if b.Lock.Names.GRPC != nil {
		grpcs = *b.Lock.Names.GRPC
	}
	w.names["wss"], w.names["grpcs"] = kas.Name, grpcs.Name
	for way, listener := range map[string]string{"wss": kas.Listeners[0], "grpcs": grpcs.Listeners[0]} {
		if at, err := r.Address(listener); err == nil {
			w.at[way] = at
		}
	}
}

func (w *world) agents(way string) (name, address string) { return w.names[way], w.at[way] }

// either hands HTTP/2 to a gRPC server, and what comes within WebSockets, too.
type either struct {
	accept *accept.Listener
	http   *http1.Server
	grpc   *grpc.Server
	work   errgroup.Group
}

func newEither(ln net.Listener, s *grpc.Server) *either {
	e := &either{grpc: s}
	conns := sniff.NewQueue(ln.Addr())
	log := slog.New(slog.DiscardHandler)
	e.http = http1.NewServer(ln.Addr(), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"ws-tunnel"}})
		if err == nil {
			conns.Put(websocket.NetConn(context.Background(), c, websocket.MessageBinary))
		}
	}), http1.Limits{Header: 10 * time.Second, Idle: time.Minute, MaxHeaderBytes: 64 << 10}, log)
	e.accept = accept.New(ln, accept.Options{Log: log, Handshake: 10 * time.Second, Sniff: 10 * time.Second}, func(p sniff.Protocol, c net.Conn) {
		if p == sniff.HTTP2 {
			conns.Put(c)
		} else {
			e.http.Put(c)
		}
	})
	e.work.Go(e.accept.Serve)
	e.work.Go(e.http.Serve)
	e.work.Go(func() error { return s.Serve(conns) })
	return e
}

func (e *either) close() {
	e.accept.Close()
	e.http.HTTP().Close()
	e.grpc.Stop()
	_ = e.work.Wait() // whatever they say about being closed
}
