package omnibus

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kasgen/generator/spec"
	"kasgen/internal/judge"
	"kasgen/omnibus/omnibustest"
	kasgenruntime "kasgen/runtime"
	"kasgen/scenarios/demo"
	"kasgen/scenarios/lab"
	"kasgen/scenarios/lab/cluster"
	"kasgen/scenarios/loopback"
	"kasgen/scenarios/operation"
)

func TestMain(m *testing.M) {
	// Pebble validates for real; it only does not sleep before.
	if err := os.Setenv("PEBBLE_VA_NOSLEEP", "1"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m,
		// As in package scenarios: client-go and the node's code end by time.
		goleak.IgnoreTopFunction("github.com/moby/spdystream.(*Connection).shutdown"),
		goleak.IgnoreTopFunction("k8s.io/client-go/tools/remotecommand.(*heartbeat).start"),
		goleak.IgnoreAnyFunction("k8s.io/cri-streaming/pkg/streaming/portforward.(*httpStreamHandler).monitorStreamPair"),
		// Pebble has no end to this one.
		goleak.IgnoreAnyFunction("github.com/letsencrypt/pebble/v2/va.VAImpl.processTasks"),
	)
}

// scene is a topology on a machine with a version of GitLab, and what runs it:
// each is a load by itself, so not everything is tried twice.
type scene struct {
	name, topology, version, more string
	embedded, native              bool
}

func scenes() []scene {
	return []scene{
		{"A", "A", "18.11", "", true, false},
		{"A, gRPC only", "A", "19.5", "agents: {websocket: remove}\n", false, true},
		{"B", "B", "19.2", "", true, false},
		{"D", "D", "17.11", "", true, true},
		{"packaged", "packaged", "18.11", "", true, true},
		{"packaged, gRPC only", "packaged", "19.5", "agents: {websocket: remove}\n", true, false},
		{"packaged, a vhost of kasgen's", "packaged", "18.5", "", false, false}, // certificates alone
	}
}

func (s scene) text(more string) string {
	return "apiVersion: kasgen/v1\ntopology: " + s.topology + "\ngitlab: {url: https://gitlab.example.com}\nnames: {kas: kas.gitlab.example.com}\n" + s.more + more
}

// TestDemo runs what Omnibus writes, a model of it, together with kasgen's own
// files, and tries every operation of kubectl.
func TestDemo(t *testing.T) {
	t.Parallel()
	for _, s := range scenes() {
		if !s.embedded {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			root := omnibustest.Machine(t, s.text(""), "", s.version)
			l := start(t, lab.Options{Bundle: root})
			left := ""
			for _, f := range l.Left() {
				left += f.What + "\n"
			}
			if !strings.Contains(left, "the vhost for gitlab.example.com is not run here") {
				t.Errorf("nothing is said of GitLab's own vhost: %q", left)
			}
			try(t, l)
		})
	}
}

// TestDemoOnNginx is the same with Debian's nginx and HAProxy reading the
// machine's files whole, GitLab's own vhosts included. A binary where GitLab's
// nginx would be is the one that runs.
func TestDemoOnNginx(t *testing.T) {
	t.Parallel()
	judge.Find(t, "haproxy")
	judge.Find(t, "nginx")
	for _, s := range scenes() {
		if !s.native {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			var ports loopback.Ports
			t.Cleanup(func() {
				if err := ports.Close(); err != nil {
					t.Error(err)
				}
			})
			stateDir, shared := filepath.Join(t.TempDir(), "state"), ""
			root := omnibustest.Machine(t, s.text("stateDir: "+stateDir+"\ntls: {source: developmentCA}\n"), "", s.version, func(moved *spec.Spec) {
				if err := ports.Move(moved); err != nil {
					t.Fatal(err)
				}
				moved.LoadBalancer.ShareWithGitLab.Address = omnibustest.Free(t)
				shared = moved.LoadBalancer.Listen[0]
				if s.topology == "A" {
					_, port, err := net.SplitHostPort(shared)
					if err != nil {
						t.Fatal(err)
					}
					// People find GitLab where the balancer is.
					moved.GitLab.ExternalURL = "https://gitlab.example.com:" + port
				}
			})
			other := map[string]string{"443": omnibustest.Free(t), "80": omnibustest.Free(t), "8060": omnibustest.Free(t)}
			omnibustest.Adapt(t, root, func(port string) string {
				if at := other[port]; at != "" {
					return at
				}
				return "127.0.0.1:" + port
			})
			secrets(t, root)
			try(t, start(t, lab.Options{Bundle: root, Native: true}))
			if s.topology == "A" {
				// GitLab's vhost has lost the port, and not its clients' addresses.
				if got := gitlab(t, shared); got != "gitlab 127.0.0.2" {
					t.Errorf("GitLab, through the balancer, answers %q", got)
				}
			}
		})
	}
}

// gitlab asks GitLab's own name, as a client with another address.
func gitlab(t *testing.T, address string) string {
	t.Helper()
	raw, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	c := tls.Client(raw, &tls.Config{ServerName: "gitlab.example.com", InsecureSkipVerify: true}) // signed by itself
	defer c.Close()
	if _, err := io.WriteString(c, "GET / HTTP/1.0\r\nHost: gitlab.example.com\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// secrets makes those that Omnibus makes, where a program reads paths as they
// are.
func secrets(t *testing.T, root string) {
	t.Helper()
	dir := filepath.Join(root, "var/opt/gitlab/gitlab-kas")
	for name, size := range map[string]int{"authentication_secret_file": 32, "private_api_authentication_secret_file": 32, "websocket_token_secret_file": 72} {
		omnibustest.Write(t, filepath.Join(dir, name), base64.StdEncoding.EncodeToString([]byte(strings.Repeat(name[:1], size))))
	}
	file := filepath.Join(dir, "gitlab-kas-config.yml")
	omnibustest.Write(t, file, strings.ReplaceAll(omnibustest.Read(t, file), "/var/opt/gitlab/gitlab-kas/", dir+"/"))
}

// start runs a machine in a lab that ends with the test. Omnibus always writes a
// Redis into kas's file.
func start(t *testing.T, o lab.Options) *lab.Lab {
	t.Helper()
	o.Version, o.Registry, o.Limit = "test", kasgenruntime.Memory, 30*time.Second
	o.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	o.Tell = func(string, string) {}
	l, err := lab.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// try holds every cell of the demo to what the manifest promises.
func try(t *testing.T, l *lab.Lab) {
	t.Helper()
	target := operation.Target{Namespace: cluster.Namespace, Pod: cluster.Pod, Container: cluster.Container, RemotePort: cluster.ContainerPort}
	cells := demo.Try(t.Context(), l, target, func(c demo.Cell) {
		if c.Result == demo.Fail {
			t.Error(c)
		}
	})
	if err := demo.Judge(cells, demo.Promised(l.Carries()), len(l.Agents)); err != nil {
		t.Error(err)
	}
	counts := map[demo.Result]int{}
	for _, c := range cells {
		counts[c.Result]++
	}
	t.Log(fmt.Sprint(len(cells), " cells: ", counts))
}
