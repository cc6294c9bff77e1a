package kubesecret

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/acme/autocert"
	"k8s.io/client-go/rest"

	"kasgen/runtime/certs/acme"
	"kasgen/runtime/certs/acme/cachetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func open(t *testing.T, s *standIn, change func(*Options)) *Cache {
	t.Helper()
	o := Options{Log: slog.New(slog.DiscardHandler), Namespace: "gitlab", Secret: "kas-acme", Lease: time.Second, Pause: time.Millisecond}
	if change != nil {
		change(&o)
	}
	config := s.config()
	transport := &http.Transport{}
	config.Transport = transport
	t.Cleanup(transport.CloseIdleConnections)
	c, err := Open(t.Context(), config, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCache(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	cachetest.Run(t, func(t *testing.T) acme.Cache { return open(t, s, nil) })
}

func TestSealedCache(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	c, err := acme.Seal(open(t, s, nil), []byte(strings.Repeat("k", 32)))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Put(t.Context(), "key", []byte("-----BEGIN PRIVATE KEY-----")); err != nil {
		t.Fatal(err)
	}
	raw, err := open(t, s, nil).Get(t.Context(), "key")
	if err != nil || strings.Contains(string(raw), "PRIVATE") {
		t.Errorf("in the Secret lies %q, %v", raw, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{
		"no Secret":    {Namespace: "gitlab"},
		"no namespace": {Secret: "kas-acme"},
		"a path":       {Namespace: "gitlab", Secret: "../kas"},
		"a short life": {Namespace: "gitlab", Secret: "kas-acme", Lease: time.Millisecond},
	} {
		if _, err := Open(t.Context(), &rest.Config{Host: "http://127.0.0.1:1"}, o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestReads: a flood of lookups is few requests, and none of them is told what
// was there before it asked.
func TestReads(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	c := open(t, s, func(o *Options) { o.Pause = 20 * time.Millisecond })
	const askers, times = 50, 10
	var all sync.WaitGroup
	begin := time.Now()
	for range askers {
		all.Go(func() {
			for range times {
				if _, err := c.Get(t.Context(), "none"); !errors.Is(err, autocert.ErrCacheMiss) {
					t.Error(err)
				}
			}
		})
	}
	defer all.Wait()
	writer := open(t, s, nil)
	for i := range 5 {
		if err := writer.Put(t.Context(), "answer", []byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
		if got, err := c.Get(t.Context(), "answer"); err != nil || got[0] != byte(i) {
			t.Errorf("after answer %d was put it is %v, %v", i, got, err)
		}
	}
	all.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if most := int(time.Since(begin)/(20*time.Millisecond)) + 2; s.reads > most {
		t.Errorf("%d requests, want %d at the most", s.reads, most)
	}
}

// TestLockOfTheDead: a holder that neither renews nor gives back loses the lock
// after a lease; one that lives does not.
func TestLockOfTheDead(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	dead := &lock{cache: open(t, s, nil), lock: "l", name: leaseName("kas-acme", "l"), holder: "dead"}
	if got, err := dead.acquire(t.Context()); !got || err != nil {
		t.Fatal(got, err)
	}
	_, unlock, err := open(t, s, nil).Lock(t.Context(), "l")
	if err != nil {
		t.Fatal(err)
	}
	// Now for three leases, which the holder renews.
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if _, _, err := open(t, s, nil).Lock(ctx, "l"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the lock of one who lives: %v", err)
	}
	unlock()
	spec := s.lease(leaseName("kas-acme", "l"))["spec"].(map[string]any)
	if holder := spec["holderIdentity"]; holder != nil && holder != "" {
		t.Errorf("after it was given back the Lease is held by %v", holder)
	}
}

// TestLostLock: who finds its lock in another's hand leaves it there.
func TestLostLock(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	var log strings.Builder
	c := open(t, s, func(o *Options) { o.Lease, o.Log = time.Hour, slog.New(slog.NewTextHandler(&log, nil)) })
	_, unlock, err := c.Lock(t.Context(), "l")
	if err != nil {
		t.Fatal(err)
	}
	name := leaseName("kas-acme", "l")
	s.mu.Lock()
	lease := s.objects["/apis/coordination.k8s.io/v1/namespaces/gitlab/leases/"+name]
	lease["spec"].(map[string]any)["holderIdentity"] = "thief"
	s.mu.Unlock()
	unlock()
	if got := s.lease(name)["spec"].(map[string]any)["holderIdentity"]; got != "thief" || !strings.Contains(log.String(), "was lost") {
		t.Errorf("held by %v, log %q", got, log.String())
	}
}

// TestLockLostAtWork: who works under a lock is told to stop when another has
// it, and when nothing could be renewed until another may.
func TestLockLostAtWork(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*standIn){
		"stolen": func(s *standIn) {
			path := "/apis/coordination.k8s.io/v1/namespaces/gitlab/leases/" + leaseName("kas-acme", "l")
			lease := s.objects[path]
			lease["spec"].(map[string]any)["holderIdentity"] = "thief"
			s.store(path, lease) // as another version, which a renewal that is under way conflicts with
		},
		"no API server": func(s *standIn) {
			s.front = func(w http.ResponseWriter, _ *http.Request) bool {
				status(w, http.StatusServiceUnavailable, "ServiceUnavailable")
				return true
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStandIn(t)
			locked, unlock, err := open(t, s, nil).Lock(t.Context(), "l")
			if err != nil {
				t.Fatal(err)
			}
			defer unlock()
			select {
			case <-locked.Done():
				t.Fatal("lost while it is renewed: ", context.Cause(locked))
			case <-time.After(2 * time.Second): // two leases
			}
			s.mu.Lock()
			lose(s)
			s.mu.Unlock()
			select {
			case <-locked.Done():
			case <-time.After(time.Minute):
				t.Fatal("nobody was told")
			}
			if err := context.Cause(locked); !errors.Is(err, acme.ErrLockLost) {
				t.Error(err)
			}
		})
	}
}

// TestDown: an API server that is away, or says no, is an error that names the
// object, and no miss.
func TestDown(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	c := open(t, s, nil)
	s.mu.Lock()
	s.front = func(w http.ResponseWriter, _ *http.Request) bool {
		status(w, http.StatusForbidden, "Forbidden")
		return true
	}
	s.mu.Unlock()
	_, errGet := c.Get(t.Context(), "a")
	_, _, errLock := c.Lock(t.Context(), "a")
	for what, err := range map[string]error{"get": errGet, "lock": errLock, "put": c.Put(t.Context(), "a", nil), "delete": c.Delete(t.Context(), "a")} {
		if err == nil || errors.Is(err, autocert.ErrCacheMiss) || !strings.Contains(err.Error(), "gitlab/kas-acme") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestConnect(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "kubeconfig")
	text := `apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: c, user: u, namespace: gitlab}}]
clusters: [{name: c, cluster: {server: "https://127.0.0.1:6443"}}]
users: [{name: u, user: {token: t}}]
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	config, namespace, err := Connect(path)
	if err != nil || namespace != "gitlab" || config.Host != "https://127.0.0.1:6443" || config.BearerToken != "t" {
		t.Errorf("%+v, %q, %v", config, namespace, err)
	}
	if _, _, err := Connect(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a kubeconfig that is not there: no error")
	}
}
