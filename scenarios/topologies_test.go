package scenarios

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"

	"kasgen/scenarios/lab"
	"kasgen/scenarios/operation"
)

// TestAdvice asks for exec without an Upgrade header, as after a balancer that
// took it away, and over SPDY: the answer comes at once and says what to do,
// from nginx where it has the rule and from kas where it has not.
func TestAdvice(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ topology, upgrade, want string }{
		{"D", "", "make the load balancer pass the headers Upgrade and Connection"},
		{"D", "SPDY/3.1", "pass here over WebSocket only"},
		{"A", "", "a load balancer or proxy on the way has taken the headers Upgrade and Connection away"},
	} {
		t.Run(tt.topology+tt.upgrade, func(t *testing.T) {
			t.Parallel()
			l, _ := start(t, renderedAs(t, tt.topology, ""))
			config := l.RESTConfig(l.Agents[0], t.Name())
			config.NextProtos = []string{"http/1.1"} // as clients that upgrade ask
			transport, err := rest.TransportFor(config)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, config.Host+"/api/v1/namespaces/default/pods/demo/exec?command=ls&stdout=true", nil)
			if err != nil {
				t.Fatal(err)
			}
			if tt.upgrade != "" {
				r.Header.Set("Connection", "Upgrade")
				r.Header.Set("Upgrade", tt.upgrade)
			}
			resp, err := transport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			var status metav1.Status
			if err := json.NewDecoder(resp.Body).Decode(&status); err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode != http.StatusBadRequest || status.Kind != "Status" || status.Reason != metav1.StatusReasonBadRequest || status.Code != http.StatusBadRequest {
				t.Errorf("%s: %+v", resp.Status, status)
			}
			for _, want := range []string{tt.want, "kubectl 1.31 or later", "may be too old", "1.30"} {
				if !strings.Contains(strings.Replace(status.Message, "the cluster is too old", "the cluster may be too old", 1), want) {
					t.Errorf("%q does not say %q", status.Message, want)
				}
			}
		})
	}
}

// TestTLS has every topology speak the newest TLS under kas's name, and refuse
// another name.
func TestTLS(t *testing.T) {
	t.Parallel()
	for _, topology := range []string{"A", "B", "D", "packaged"} {
		t.Run(topology, func(t *testing.T) {
			t.Parallel()
			l, _ := start(t, renderedAs(t, topology, ""))
			for name, serves := range map[string]bool{"kas.example.com": true, "other.example.com": false} {
				d := tls.Dialer{Config: &tls.Config{ServerName: name, MinVersion: tls.VersionTLS13, InsecureSkipVerify: true}} //nolint:gosec // the lab's certificate is not what is tried
				c, err := d.DialContext(t.Context(), "tcp", l.Server())
				if (err == nil) != serves {
					t.Errorf("TLS 1.3 under %s: %v", name, err)
				}
				if err == nil {
					c.Close()
				}
			}
		})
	}
}

// TestUpgradeHeadersInTheFile takes out of nginx.conf what makes an upgrade.
func TestUpgradeHeadersInTheFile(t *testing.T) {
	t.Parallel()
	dir := renderedAs(t, "D", "")
	edit(t, dir, "nginx/nginx.conf", "        proxy_set_header Upgrade $http_upgrade;\n", "", "        proxy_set_header Connection $connection_upgrade;\n", "")
	l := startAll(t, dir)
	if why := l.Absent["wss"]; !strings.Contains(why, "426") {
		t.Errorf("the agent by WebSocket: %q", why)
	}
	if err := one(t, l, "get", operation.Plain); err != nil {
		t.Errorf("get: %v", err)
	}
	if err := one(t, l, "exec", operation.WebSocket); err == nil || !strings.Contains(err.Error(), "taken the headers Upgrade and Connection away") {
		t.Errorf("exec over WebSocket without the headers: %v", err)
	}
}

// TestReadLimitInTheFile gives a silent stream less time than it takes, and
// more.
func TestReadLimitInTheFile(t *testing.T) {
	t.Parallel()
	for limit, lives := range map[string]bool{"1s": false, "20s": true} {
		t.Run(limit, func(t *testing.T) {
			t.Parallel()
			dir := renderedAs(t, "D", "")
			edit(t, dir, "nginx/nginx.conf", "proxy_read_timeout 2h;", "proxy_read_timeout "+limit+";")
			l := startAll(t, dir)
			s := openExec(t, l, l.Agents[len(l.Agents)-1], "echo one; sleep 3; echo two")
			s.expect(t, "one")
			line, err := s.lines.ReadString('\n')
			if alive := line == "two\n" && err == nil; alive != lives {
				t.Errorf("after three silent seconds: %q, %v", line, err)
			}
			if err := <-s.ended; (err == nil) != lives {
				t.Errorf("the command's end: %v", err)
			}
		})
	}
}

// TestMigration goes from the packaged vhost to topology A, with an old
// listener kept beside the new one, and back, while a command runs all the time
// and agents do not notice.
func TestMigration(t *testing.T) {
	t.Parallel()
	packaged := renderedAs(t, "packaged", "")
	kept := renderedAs(t, "A", "migration: {keep: [{listen: 0.0.0.0:8443, backend: 127.0.0.1:8154}]}\n")
	l, _ := start(t, packaged)
	s := openExec(t, l, l.Agents[0], "echo one; for n in 1 2 3; do read x; echo $x; done")
	s.expect(t, "one")
	for n, dir := range []string{kept, renderedAs(t, "A", ""), packaged} {
		if err := l.Reload(t.Context(), dir); err != nil {
			t.Fatal(err)
		}
		for _, tr := range []operation.Transport{operation.SPDY, operation.WebSocket} {
			if err := one(t, l, "exec tty", tr); err != nil {
				t.Errorf("after %d switches, over %s: %v", n+1, tr, err)
			}
		}
		if err := direct(t, l, "0.0.0.0:8443"); (err == nil) != (dir == kept) {
			t.Errorf("after %d switches, by the old listener: %v", n+1, err)
		}
		s.say(t, fmt.Sprint("still there ", n))
	}
	if err := <-s.ended; err != nil {
		t.Error(err)
	}
}

// direct asks for the cluster's version by an old listener, in cleartext.
func direct(t *testing.T, l *lab.Lab, listener string) error {
	t.Helper()
	address, err := l.Listener(listener)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/k8s-proxy/version", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+l.RESTConfig(l.Agents[0], t.Name()).BearerToken)
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s", resp.Status)
	}
	return nil
}

// startAll is start with agents that may stay away.
func startAll(t *testing.T, dir string) *lab.Lab {
	t.Helper()
	return startWith(t, lab.Options{Bundle: dir, TryAll: true, Limit: 5 * time.Second})
}

// session is a command that runs in the pod.
type session struct {
	in    io.Writer
	lines *bufio.Reader
	ended chan error
}

// openExec runs a shell's command over WebSocket.
func openExec(t *testing.T, l *lab.Lab, a lab.Agent, command string) *session {
	t.Helper()
	config := l.RESTConfig(a, t.Name())
	config.APIPath, config.GroupVersion, config.NegotiatedSerializer = "/api", &corev1.SchemeGroupVersion, scheme.Codecs.WithoutConversion()
	client, err := rest.RESTClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	u := client.Get().Resource("pods").Namespace("default").Name("demo").SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Stdin: true, Stdout: true, Command: []string{"sh", "-c", command}}, scheme.ParameterCodec).URL()
	exec, err := remotecommand.NewWebSocketExecutor(config, http.MethodGet, u.String())
	if err != nil {
		t.Fatal(err)
	}
	out, outWriter := io.Pipe()
	in, inWriter := io.Pipe()
	s := &session{in: inWriter, lines: bufio.NewReader(out), ended: make(chan error, 1)}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(func() { cancel(); inWriter.Close() })
	go func() {
		err := exec.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: in, Stdout: outWriter})
		outWriter.Close()
		s.ended <- err
	}()
	return s
}

func (s *session) expect(t *testing.T, want string) {
	t.Helper()
	if line, err := s.lines.ReadString('\n'); err != nil || line != want+"\n" {
		t.Fatalf("%q, %v; want %q", line, err, want)
	}
}

// say sends a line and expects it back.
func (s *session) say(t *testing.T, line string) {
	t.Helper()
	if _, err := io.WriteString(s.in, line+"\n"); err != nil {
		t.Fatal(err)
	}
	s.expect(t, line)
}
