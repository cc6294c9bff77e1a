package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Two idle ones, ten more when one is taken, and no more while enough are idle.
func TestPoolGrows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := bubbleKAS(t)
		expect := func(want int) {
			t.Helper()
			synctest.Wait()
			if got := len(k.tunnels); got != want {
				t.Fatalf("%d idle tunnels, want %d", got, want)
			}
		}
		expect(minIdle)
		take := func() *fakeTunnel {
			tunnel := <-k.tunnels
			tunnel.start(t, headOf("POST", "/", nil, length(-1))) // its body never comes
			return tunnel
		}
		take()
		expect(minIdle - 1 + growBy)
		for range growBy - 1 {
			take()
		}
		expect(minIdle)
		take()
		expect(minIdle - 1 + growBy)
	})
}

func TestPoolCap(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		p := newPool(slog.New(slog.DiscardHandler), func(ctx context.Context, onActive func()) error {
			onActive()
			<-ctx.Done()
			return ctx.Err()
		})
		done := make(chan struct{})
		go func() { p.run(ctx); close(done) }()
		synctest.Wait()
		p.mu.Lock()
		if p.total != maxConnections || p.idle != 0 {
			t.Errorf("%d connections, %d idle", p.total, p.idle)
		}
		p.mu.Unlock()
		cancel()
		<-done
	})
}

// A spare stream outlives its idle minute until kas ends it.
func TestPoolShrinks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := bubbleKAS(t)
		const all = minIdle + growBy
		busy := <-k.tunnels
		busy.start(t, headOf("POST", "/", nil, length(-1)))
		synctest.Wait()
		busy.end <- nil
		expect := func(want int) {
			t.Helper()
			synctest.Wait()
			if got := len(k.tunnels); got != want {
				t.Fatalf("%d idle tunnels, want %d", got, want)
			}
		}
		endAll := func() {
			for range len(k.tunnels) {
				(<-k.tunnels).end <- nil
			}
		}
		expect(all)
		time.Sleep(maxIdle - time.Second)
		endAll()
		expect(all)
		time.Sleep(2 * time.Second)
		expect(all)
		endAll()
		expect(minIdle)
	})
}

// What a stream ends with decides when the next one opens.
func TestReconnect(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		err  error
		wait bool
	}{
		{"orderly end", nil, false},
		{"cancelled", status.Error(codes.Canceled, ""), false},
		{"deadline", fmt.Errorf("Connect: %w", status.Error(codes.DeadlineExceeded, "")), false},
		{"unavailable", status.Error(codes.Unavailable, ""), true},
		{"unauthenticated", fmt.Errorf("Connect: %w", status.Error(codes.Unauthenticated, "")), true},
		{"fault of kas", errors.Join(status.Error(codes.InvalidArgument, ""), nil), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				begin := time.Now()
				var at []time.Duration
				p := newPool(slog.New(slog.DiscardHandler), func(context.Context, func()) error {
					if at = append(at, time.Since(begin)); len(at) == 10 {
						cancel()
					}
					return tt.err
				})
				p.total, p.idle = 1, 1
				p.keepConnected(ctx)
				step := float64(time.Second)
				for i, d := range at[1:] {
					waited := float64(d - at[i])
					switch {
					case !tt.wait && waited != 0:
						t.Fatalf("waited %v", d-at[i])
					case tt.wait && (waited < step*0.999 || waited > step*1.201):
						t.Fatalf("wait %d was %v, want %v and up to a fifth more", i, d-at[i], time.Duration(step))
					}
					step = min(step*1.6, float64(20*time.Second))
				}
			})
		})
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	half := func() float64 { return 0.5 }
	for _, tt := range []struct {
		name string
		b    *backoff
		want []string
	}{
		{"connect", connectBackoff(), []string{"1.1s", "1.76s", "2.82s", "4.51s", "7.21s", "11.53s", "18.45s", "22s", "22s"}},
		{"service", serviceBackoff(), []string{"15s", "30s", "1m0s", "2m0s", "4m0s", "7m30s", "7m30s"}},
	} {
		tt.b.random = half
		var got []string
		for range tt.want {
			got = append(got, tt.b.next(now).Round(10*time.Millisecond).String())
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
		if d := tt.b.next(now.Add(tt.b.reset)); d.Round(10*time.Millisecond).String() != tt.want[len(tt.want)-1] {
			t.Errorf("%s: reset too early: %v", tt.name, d)
		}
		if d := tt.b.next(now.Add(2*tt.b.reset + 1)); d.Round(10*time.Millisecond).String() != tt.want[0] {
			t.Errorf("%s: not reset: %v", tt.name, d)
		}
	}
}

// The wrong token ends each Connect; the agent goes on trying.
func TestRefusedToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := bubbleKAS(t)
		for i := range 5 {
			tunnel := <-k.tunnels
			tunnel.end <- status.Error(codes.Unauthenticated, http.StatusText(http.StatusUnauthorized))
			if i > 0 {
				time.Sleep(time.Second)
			}
		}
	})
}
