package suite

import (
	"cmp"
	"context"
	"crypto/x509"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"kasgen/generator"
	"kasgen/generator/spec"
	"kasgen/internal/layout"
	"kasgen/omnibus/omnibustest"
	kasgenruntime "kasgen/runtime"
	"kasgen/runtime/accept"
	"kasgen/runtime/host"
	"kasgen/runtime/http1"
	"kasgen/runtime/sniff"
	"kasgen/runtime/state"
	"kasgen/scenarios/lab"
	"kasgen/scenarios/loopback"
)

// topologies are bundles, and machines with GitLab's Omnibus package (a model of
// what it writes) with the embedded nginx and with the real one.
func topologies() []string {
	return []string{"A", "B", "D", "packaged", "Omnibus, packaged", "Omnibus, D, nginx", "Omnibus, packaged, nginx"}
}

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
	stateDir := filepath.Join(dir, "state")
	bundle, upstream := rendered(t, topology, stateDir, agent)
	native := strings.HasSuffix(topology, ", nginx")
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
			if role == kasgenruntime.Edge && !exists(layout.Of(bundle).Path(layout.Edge)) {
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
		redirect.Name(upstream, agent)
		h := redirect.Host(base)
		if native {
			h = base
			b.UseNative(t.TempDir())
		}
		r, err := b.Start(ctx, h, h, "test")
		if err != nil {
			t.Fatal(err)
		}
		roles.Go(func() error { return r.Serve(ctx) })
		w.find(t, b, redirect)
	}
	return w
}

// rendered is a topology's files, and what they have as kas's address for agents.
func rendered(t *testing.T, topology, stateDir, agent string) (dir, upstream string) {
	t.Helper()
	if rest, ok := strings.CutPrefix(topology, "Omnibus, "); ok {
		return machine(t, rest, stateDir, agent), agent
	}
	s, findings := spec.Read("kasgen.yaml", []byte(spec.Example), []spec.Override{{Field: "topology", Text: topology, Source: "--topology"}})
	if s == nil {
		t.Fatal(findings)
	}
	b, err := generator.Render(s)
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(t.TempDir(), "bundle")
	if _, err := b.Write(dir, false); err != nil {
		t.Fatal(err)
	}
	return dir, s.KAS.Listen.Agent
}

// machine is a folder with what Omnibus writes, on ports of its own where the
// real nginx reads it.
func machine(t *testing.T, topology, stateDir, agent string) string {
	t.Helper()
	topology, native := strings.CutSuffix(topology, ", nginx")
	var ports loopback.Ports
	root := omnibustest.Machine(t, "apiVersion: kasgen/v1\ntopology: "+topology+"\ngitlab: {url: https://gitlab.example.com}\nnames: {kas: kas.gitlab.example.com}\n"+
		"stateDir: "+stateDir+"\ntls: {source: developmentCA}\n", "", "18.11", func(s *spec.Spec) {
		if native {
			if err := ports.Move(s); err != nil {
				t.Fatal(err)
			}
		}
		s.KAS.Listen.Agent = agent
	})
	t.Cleanup(func() {
		if err := ports.Close(); err != nil {
			t.Error(err)
		}
	})
	if native {
		other := map[string]string{"443": omnibustest.Free(t), "80": omnibustest.Free(t), "8060": omnibustest.Free(t)}
		omnibustest.Adapt(t, root, func(port string) string { return cmp.Or(other[port], "127.0.0.1:"+port) })
	}
	return root
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
		if b.Native() {
			w.at[way] = listener
		} else if at, err := r.Address(listener); err == nil {
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
