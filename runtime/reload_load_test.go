package runtime

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	goruntime "runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestReloadUnderLoad reloads a hundred times, each time with another file
// changed, while new connections come all the time. None of them may fail, and
// nothing may be left of the generations. It does not run beside other tests,
// whose descriptors it would count.
func TestReloadUnderLoad(t *testing.T) { //nolint:paralleltest // see above
	w := newWorld(t)
	a := w.agent(8)
	kept := []*stream{w.bare("127.0.0.1:444", "one"), w.upgraded("/k8s-proxy/exec", ""), w.upgraded("nginx:/k8s-proxy/exec", "")}
	var stop atomic.Bool
	var work sync.WaitGroup
	var done, failed atomic.Int64
	load := func(what string, once func() error) {
		work.Go(func() {
			for !stop.Load() {
				if err := once(); err != nil {
					failed.Add(1)
					t.Errorf("%s: %v", what, err)
				}
				done.Add(1)
			}
		})
	}
	load("bare TCP", func() error {
		c, err := net.Dial("tcp", w.at("127.0.0.1:444"))
		if err != nil {
			return err
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			return err
		}
		fmt.Fprintln(c, "hello")
		got, err := bufio.NewReader(c).ReadString('\n')
		if err == nil && got != "one hello\n" {
			err = fmt.Errorf("got %q", got)
		}
		return err
	})
	for range 2 {
		load("GET through the tunnel", func() error { return w.expect("/k8s-proxy/x", http.StatusOK) })
	}
	load("GET that the edge answers", func() error { return w.expect("/nothing", http.StatusUpgradeRequired) })
	load("GET through nginx", func() error { return w.expect("nginx:/k8s-proxy/x", http.StatusOK) })
	load("readiness", func() error { return w.expect("/readiness", http.StatusOK) })
	const reloads = 100
	var goroutines, descriptors int
	for n := range reloads {
		switch n % 5 {
		case 0:
			w.flip("haproxy/haproxy.cfg", "timeout client 1h", "timeout client 2h")
		case 1:
			w.flip("edge/edge.yaml", "handshake: 10s", "handshake: 11s")
		case 2:
			w.flip("kas/kas-config.yaml", "websocket: true", "websocket: false")
		case 3:
			w.flip("nginx/nginx.conf", "proxy_read_timeout 1h", "proxy_read_timeout 2h")
		case 4: // nothing
		}
		if got := w.reload(); got.Result != "success" {
			t.Fatalf("%+v", got)
		}
		for _, s := range kept {
			s.say("still here")
		}
		if n == 10 {
			// Every pool and cache has been used.
			goroutines, descriptors = goruntime.NumGoroutine(), openFiles(t)
		}
	}
	stop.Store(true)
	work.Wait()
	t.Logf("%d reloads, %d connections, %d failed; the agent connected %d times", reloads, done.Load(), failed.Load(), a.dials.Load())
	for _, s := range kept {
		s.say("still here")
		s.c.Close()
	}
	for limit := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		_, metrics, err := w.get("/metrics")
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(metrics, "kasgen_roles_retiring 0\n") && goruntime.NumGoroutine() <= goroutines+10 && openFiles(t) <= descriptors+10 {
			break
		}
		if time.Now().After(limit) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("there are %d goroutines and %d descriptors, and were %d and %d under load\n%s\n%s", goruntime.NumGoroutine(), openFiles(t),
				goroutines, descriptors, metrics, stacks[:goruntime.Stack(stacks, true)])
		}
	}
}

// expect asks for a path on a connection of its own.
func (w *world) expect(path string, code int) error {
	got, body, err := w.get(path)
	if err == nil && got != code {
		err = fmt.Errorf("%d %s", got, body)
	}
	return err
}

// flip changes a file between two texts.
func (w *world) flip(name, one, other string) {
	w.t.Helper()
	text, err := os.ReadFile(w.dir + "/" + name)
	if err != nil {
		w.t.Fatal(err)
	}
	if !strings.Contains(string(text), one) {
		one, other = other, one
	}
	w.edit(name, one, other)
}

func openFiles(t testing.TB) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("descriptors cannot be counted here: " + err.Error())
	}
	return len(entries)
}
