package agent

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"k8s.io/client-go/rest"

	agentpb "kasgen/internal/kasrpc/agent"
	"kasgen/internal/kasrpc/kubeapi"
)

// bubbleKAS starts a kas and an agent within a synctest bubble, where the only
// network is memory and the time is the test's.
func bubbleKAS(t *testing.T, change ...func(*fakeKAS)) *fakeKAS {
	t.Helper()
	k, _ := bubble(t, change...)
	return k
}

func bubble(t *testing.T, change ...func(*fakeKAS)) (*fakeKAS, *Agent) {
	t.Helper()
	return bubbleOver(t, nil, change...)
}

func bubbleOver(t *testing.T, cluster *rest.Config, change ...func(*fakeKAS)) (*fakeKAS, *Agent) {
	t.Helper()
	k := newFakeKAS()
	for _, c := range change {
		c(k)
	}
	l := bufconn.Listen(1 << 16)
	var done sync.WaitGroup
	done.Go(func() {
		if err := k.server.Serve(l); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Error(err)
		}
	})
	t.Cleanup(func() { k.server.Stop(); done.Wait() })
	return k, run(t, Options{KasURL: "grpc://kas", Dial: bufconnDial(l), PodName: "agentk-1", PodNamespace: "gitlab", Cluster: cluster})
}

func bufconnDial(l *bufconn.Listener) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) { return l.DialContext(ctx) }
}

func isReady(a *Agent) bool {
	synctest.Wait()
	select {
	case <-a.Ready():
		return true
	default:
		return false
	}
}

// TestPings counts the pings on a connection on which kas says nothing.
func TestPings(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := bufconn.Listen(1 << 16)
		run(t, Options{KasURL: "grpc://kas", Dial: bufconnDial(l)})
		conn, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
			t.Fatal(err)
		}
		framer := http2.NewFramer(conn, conn)
		if err := framer.WriteSettings(); err != nil {
			t.Fatal(err)
		}
		silentSince := time.Now()
		var got []time.Duration
		for len(got) < 3 {
			f, err := framer.ReadFrame()
			if err != nil {
				t.Fatal(err)
			}
			switch f := f.(type) {
			case *http2.SettingsFrame:
				if !f.IsAck() {
					err = framer.WriteSettingsAck()
				}
			case *http2.PingFrame:
				got = append(got, time.Since(silentSince))
				err = framer.WritePing(true, f.Data)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		want := []time.Duration{55 * time.Second, 110 * time.Second, 165 * time.Second}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestRegister(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		type registration struct {
			at   time.Duration
			meta *agentpb.AgentMeta
			pod  int64
		}
		seen := make(chan registration, 100)
		var calls atomic.Int32
		bubbleKAS(t, func(k *fakeKAS) {
			k.register = func(_ context.Context, r *agentpb.RegisterRequest) error {
				seen <- registration{time.Since(begin), r.GetAgentMeta(), r.GetPodId()}
				if calls.Add(1) <= 2 {
					return status.Error(codes.Unimplemented, "no Register")
				}
				return nil
			}
		})
		first := <-seen
		if first.pod == 0 || first.meta.GetPodName() != "agentk-1" || first.meta.GetPodNamespace() != "gitlab" ||
			first.meta.GetVersion() != "v1.2.3" || first.meta.GetCommitId() != "abcdef0" || first.meta.GetKubernetesVersion() != nil {
			t.Errorf("registered %v as pod %d", first.meta, first.pod)
		}
		second := <-seen
		if d := second.at - first.at; d < 10*time.Second || d >= 20*time.Second {
			t.Errorf("tried again after %v", d)
		}
		third := <-seen
		fourth := <-seen
		if d := fourth.at - third.at; d != registerEvery {
			t.Errorf("registered again after %v", d)
		}
		if fourth.pod != first.pod {
			t.Errorf("pod %d became %d", first.pod, fourth.pod)
		}
	})
}

func TestConfiguration(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		asked := make(chan *agentpb.ConfigurationRequest, 10)
		answers := make(chan func(grpc.ServerStreamingServer[agentpb.ConfigurationResponse]) error)
		_, a := bubble(t, func(k *fakeKAS) {
			k.configure = func(r *agentpb.ConfigurationRequest, s grpc.ServerStreamingServer[agentpb.ConfigurationResponse]) error {
				asked <- r
				select {
				case answer := <-answers:
					return answer(s)
				case <-s.Context().Done():
					return s.Context().Err()
				}
			}
		})
		ask := func(commit string, least, most time.Duration) {
			t.Helper()
			r := <-asked
			if !r.GetSkipRegister() || r.GetCommitId() != commit || r.GetAgentMeta().GetPodName() != "agentk-1" {
				t.Errorf("asked %v, want commit %q", r, commit)
			}
			if d := time.Since(begin); d < least || d > most {
				t.Errorf("asked after %v", d)
			}
			begin = time.Now()
		}
		says := func(r *agentpb.ConfigurationResponse, end error) {
			answers <- func(s grpc.ServerStreamingServer[agentpb.ConfigurationResponse]) error {
				if r != nil {
					if err := s.Send(r); err != nil {
						return err
					}
				}
				return end
			}
		}
		const initial = 10 * time.Second
		ask("", 0, 0)
		if isReady(a) {
			t.Error("ready without the configuration")
		}
		says(nil, status.Error(codes.Unavailable, "later"))
		ask("", initial, 2*initial)
		if isReady(a) {
			t.Error("ready after an error")
		}
		says(configurationOf(42, "c1"), nil)
		ask("c1", 0, 0) // an orderly end
		if !isReady(a) {
			t.Error("not ready")
		}
		says(configurationOf(42, "c2"), nil)
		ask("c2", 0, 0)
		says(configurationOf(43, "c3"), nil) // another agent's
		ask("c2", 2*initial, 4*initial)
		says(&agentpb.ConfigurationResponse{CommitId: "c3"}, nil) // nothing in it
		ask("c2", 4*initial, 8*initial)
	})
}

// A kas that serves neither is good enough for tunnels.
func TestUnimplementedTolerated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k, a := bubble(t, func(k *fakeKAS) { k.configure, k.register = nil, nil })
		if !isReady(a) {
			t.Error("not ready")
		}
		if len(k.tunnels) != minIdle {
			t.Errorf("%d tunnels", len(k.tunnels))
		}
	})
}

// A kas that breaks the order is told so and has a time to end the stream.
func TestLinger(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		steps []step
	}{
		{"before the request", []step{sends(closeSend())}},
		{"within it", []step{sends(requestInfo(kubeapi.KubernetesApi_MakeRequest_FullMethodName)), sends(requestInfo("/again"))}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				k := bubbleKAS(t)
				tunnel := <-k.tunnels
				for _, do := range tt.steps {
					do(t, tunnel)
				}
				for m := tunnel.receive(t); m != nil; m = tunnel.receive(t) {
					if s := m.GetError().GetStatus(); s != nil && codes.Code(s.GetCode()) != codes.InvalidArgument {
						t.Errorf("status %v", s)
					}
				}
				begin := time.Now()
				<-tunnel.stream.Context().Done()
				if d := time.Since(begin); d != lingerTime {
					t.Errorf("the agent waited %v", d)
				}
			})
		})
	}
}

// Bytes that kas sent for an upgrade that failed hold nothing up.
func TestUpgradeDataForNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fail := make(chan struct{})
		k, _ := bubbleOver(t, &rest.Config{Host: "http://cluster.invalid", Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			<-fail
			return refuseDial(ctx, network, address)
		}})
		tunnel := <-k.tunnels
		tunnel.start(t, headOf("POST", "/exec", spdyHead(nil), length(0)))
		tunnel.http(t, trailerMessage())
		tunnel.http(t, upgradeMessage("x"))
		synctest.Wait()
		close(fail)
		if got := tunnel.rest(t); got.Code != codes.Unavailable {
			t.Errorf("%v %s", got.Code, got.Message)
		}
		synctest.Wait()
		if got := len(k.tunnels); got != minIdle+growBy {
			t.Errorf("%d idle tunnels: the stream of the failed request has not been replaced", got)
		}
	})
}

// kas goes away and comes back: the agent finds it again by itself.
func TestKasRestarts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		l := bufconn.Listen(1 << 16)
		dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
			mu.Lock()
			defer mu.Unlock()
			return l.DialContext(ctx)
		}
		run(t, Options{KasURL: "grpc://kas", Dial: dial})
		for range 3 {
			k := newFakeKAS()
			served := make(chan error, 1)
			go func() { served <- k.server.Serve(l) }()
			for range minIdle {
				<-k.tunnels
			}
			k.server.Stop()
			if err := <-served; err != nil {
				t.Error(err)
			}
			mu.Lock()
			l = bufconn.Listen(1 << 16)
			mu.Unlock()
		}
	})
}
