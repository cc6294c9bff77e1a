package runtime

import (
	"crypto/tls"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/credentials/insecure"
)

// TestReload changes one thing after another under streams that go on.
func TestReload(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.agent(6)
	streams := []*stream{w.bare("127.0.0.1:444", "one"), w.upgraded("/old", "two "), w.upgraded("/k8s-proxy/exec", "")}
	alive := func(after string) {
		t.Helper()
		for _, s := range streams {
			s.say(after)
		}
		w.mustGet("/readiness", http.StatusOK, "")
		w.mustGet("/k8s-proxy/x", http.StatusOK, "pong")
	}
	alive("the start")
	if got, want := w.reload(), (change{Msg: "reloaded", Result: "success", Generation: 2, Kept: []string{"kas", "edge", "haproxy", "nginx"}}); cmp.Diff(want, got) != "" {
		t.Error(cmp.Diff(want, got))
	}
	alive("a reload that changes nothing")

	// A port, a time limit and a backend of the balancer.
	w.edit("haproxy/haproxy.cfg", "bind 127.0.0.1:444", "bind 127.0.0.1:446")
	w.edit("haproxy/haproxy.cfg", "timeout client 1h", "timeout client 2h")
	w.edit("haproxy/haproxy.cfg", "127.0.0.1:7001", "127.0.0.1:7002")
	left := w.at("127.0.0.1:444")
	if got, want := w.reload(), (change{Msg: "reloaded", Result: "success", Generation: 3,
		Made: []string{"haproxy"}, Kept: []string{"kas", "edge", "nginx"}, Retired: []string{"haproxy"}}); cmp.Diff(want, got) != "" {
		t.Error(cmp.Diff(want, got))
	}
	alive("a reload of haproxy.cfg")
	if c, err := net.Dial("tcp", left); err == nil {
		c.Close()
		t.Error("the port that was left is still open")
	}
	streams = append(streams, w.bare("127.0.0.1:446", "two"))
	if n := a.dials.Load(); n != 1 {
		t.Errorf("the agent has connected %d times, though neither kas nor edge has changed", n)
	}

	// A route of the edge: the agent's connection is the edge's no more, so it
	// goes on as well.
	w.edit("edge/edge.yaml", "prefix: /old", "prefix: /new")
	if got := w.reload(); !slices.Equal(got.Made, []string{"edge"}) {
		t.Errorf("%+v", got)
	}
	alive("a reload of edge.yaml")
	streams = append(streams, w.upgraded("/new", "two "))
	w.mustGet("/old", http.StatusUpgradeRequired, "")
	if n := a.dials.Load(); n != 1 {
		t.Errorf("the agent has connected %d times, though kas has not changed", n)
	}

	// kas: agents are told to come to the new one, and a stream goes on.
	w.edit("kas/kas-config.yaml", "shutdown_grace_period: 1s", "shutdown_grace_period: 2s")
	if got := w.reload(); !slices.Equal(got.Made, []string{"kas"}) {
		t.Errorf("%+v", got)
	}
	alive("a reload of kas-config.yaml")
	streams = append(streams, w.upgraded("/k8s-proxy/exec", ""))
	alive("a reload of kas-config.yaml")
	for limit := time.Now().Add(20 * time.Second); a.dials.Load() < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("the agent has not connected to the new kas")
		}
	}

	// nginx's http{}.
	streams = append(streams, w.upgraded("nginx:/k8s-proxy/exec", ""))
	w.mustGet("nginx:/x", http.StatusNoContent, "")
	w.edit("nginx/nginx.conf", "return 204", "return 404")
	if got := w.reload(); !slices.Equal(got.Made, []string{"nginx"}) {
		t.Errorf("%+v", got)
	}
	alive("a reload of nginx.conf")
	w.mustGet("nginx:/x", http.StatusNotFound, "")

	// A secret.
	w.edit("kas/kas-config.yaml", "gitlab: {address:", "gitlab:  {address:")
	w.edit("kas/kas-config.yaml", `"127.0.0.1:8155", authentication_secret_file: /state/secrets/gitlab`, `"127.0.0.1:8155", authentication_secret_file: /state/secrets/other`)
	w.edit("kasgen.lock.yaml", "{path: /state/secrets/gitlab, kind: secret, names: []}", "{path: /state/secrets/gitlab, kind: secret, names: []}\n  - {path: /state/secrets/other, kind: secret, names: []}")
	if got := w.reload(); !slices.Equal(got.Made, []string{"kas"}) {
		t.Errorf("%+v", got)
	}
	alive("a new secret")
	if err := w.stop(); err != nil {
		t.Error(err)
	}
}

// TestReloadHTTP2 reloads HAProxy's mode http under an agent: it is told to
// connect anew, and the stream that it carries goes on.
func TestReloadHTTP2(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.agentAt("127.0.0.1:445", insecure.NewCredentials(), 2)
	s := w.upgraded("/k8s-proxy/exec", "")
	w.edit("haproxy/haproxy.cfg", "timeout http-request 10s", "timeout http-request 11s")
	if got := w.reload(); !slices.Equal(got.Made, []string{"haproxy"}) {
		t.Errorf("%+v", got)
	}
	s.say("after the reload")
	// Takes the idle tunnel; the next one is on a connection to the successor.
	w.mustGet("/k8s-proxy/x", http.StatusOK, "pong")
	for limit := time.Now().Add(20 * time.Second); a.dials.Load() < 2; time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("the agent has not connected to the new listener")
		}
	}
	w.mustGet("/k8s-proxy/x", http.StatusOK, "pong")
	s.say("after the agent has moved")
}

// TestReloadRefused: whatever is wrong, what runs goes on as it is.
func TestReloadRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.agent(2)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	streams := []*stream{w.bare("127.0.0.1:444", "one"), w.upgraded("/k8s-proxy/exec", "")}
	for _, tt := range []struct {
		name, file, old, new string
		say                  []string
	}{
		{"a file that does not parse", "haproxy/haproxy.cfg", "defaults\n    mode tcp", "defaults\n    mode teapot", []string{`"code":"KAS2302"`, `haproxy.cfg:4:10`}},
		{"an unknown key", "edge/edge.yaml", "drain: 1s", "drian: 1s", []string{`"code":"KAS1005"`, `edge.yaml:`}},
		{"a section that is refused", "kas/kas-config.yaml", "observability:", "workspaces: {enabled: true}\nobservability:", []string{`"code":"KAS3001"`}},
		{"a secret that is not there", "kas/kas-config.yaml", "authentication_secret_file: /state/secrets/gitlab, external_url", "authentication_secret_file: /state/secrets/none, external_url", []string{"secrets/none: no such file"}},
		{"a certificate that is not there", "edge/edge.yaml", "/state/tls/kas.crt", "/state/tls/none.crt", []string{"none.crt: no such file"}},
		{"no manifest any more", "kasgen.lock.yaml", "apiVersion: kasgen/v1", "apiVersion: kasgen/v9", []string{`"code":"KAS1`}},
		{"a file that is lost", "kasgen.lock.yaml", "files: []", `files: [{path: nginx/stream.conf, mode: "0644", sha256: "` + strings.Repeat("0", 64) + `"}]`, []string{"stream.conf is not there"}},
	} {
		before := len(w.errs.String())
		w.edit(tt.file, tt.old, tt.new)
		got := w.reload()
		if got.Result != "failure" || got.Msg != "reload refused; what runs goes on as it is" {
			t.Errorf("%s: %+v", tt.name, got)
		}
		for _, s := range tt.say {
			if said := w.errs.String()[before:]; !strings.Contains(said, s) {
				t.Errorf("%s: the log does not say %q\n%s", tt.name, s, said)
			}
		}
		for _, s := range streams {
			s.say(tt.name)
		}
		w.mustGet("/readiness", http.StatusOK, "")
		w.mustGet("/k8s-proxy/x", http.StatusOK, "pong")
		w.bare("127.0.0.1:444", "one")
		w.mustGet("/metrics", http.StatusOK, "kasgen_reload_last_successful 0")
		w.edit(tt.file, tt.new, tt.old)
	}
	if got := w.reload(); got.Result != "success" || len(got.Made) > 0 {
		t.Errorf("with the files as they were: %+v", got)
	}
	w.mustGet("/metrics", http.StatusOK, `kasgen_reload_total{result="failure"} 7`)
	w.mustGet("/metrics", http.StatusOK, `kasgen_reload_total{result="success"} 1`)
	w.mustGet("/metrics", http.StatusOK, "kasgen_reload_last_successful 1")
}

// TestReloadNames: with other names the development CA issues its certificate
// anew, and the streams of before live on.
func TestReloadNames(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	kept := w.bare("127.0.0.1:444", "one")
	dial := func(name string) error {
		c, err := tls.Dial("tcp", w.at("127.0.0.1:443"), &tls.Config{ServerName: name, RootCAs: w.roots})
		if err != nil {
			return err
		}
		return c.Close()
	}
	if err := dial("other.example.com"); err == nil {
		t.Fatal("there is a certificate for a name that no file has")
	}
	w.edit("kasgen.lock.yaml", "names: [kas.example.com]", "names: [kas.example.com, other.example.com]")
	w.edit("edge/edge.yaml", "serverNames: [kas.example.com]", "serverNames: [kas.example.com, other.example.com]")
	if got := w.reload(); got.Result != "success" {
		t.Fatalf("%+v", got)
	}
	w.await("issued a certificate of the development CA anew", 1)
	for _, name := range []string{"kas.example.com", "other.example.com"} {
		if err := dial(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	kept.say("still here")
}
