package bench

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"

	"k8s.io/client-go/rest"

	"kasgen/scenarios/lab/agent"
)

var bearer = bearerFor(1)

func bearerFor(agent int) string { return fmt.Sprintf("Bearer ci:%d:job", agent) }

// newGitLab knows every agent whose token is its number, and a job that may
// use the first twenty.
func newGitLab(b testing.TB) string {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v4/internal/kubernetes/agent_info", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, `{"project_id": 1, "agent_id": %s, "agent_name": "a"}`, r.Header.Get("Gitlab-Agent-Api-Request"))
	})
	mux.HandleFunc("GET /api/v4/job/allowed_agents", func(w http.ResponseWriter, r *http.Request) {
		var agents []string
		for i := range 20 {
			agents = append(agents, fmt.Sprintf(`{"id": %d, "config_project": {"id": 1}, "configuration": {}}`, i+1))
		}
		io.WriteString(w, `{"allowed_agents": [`+strings.Join(agents, ",")+`], "job": {"id": 1}, "pipeline": {"id": 1}, "project": {"id": 1}, "user": {"id": 1, "username": "u"}}`)
	})
	s := httptest.NewServer(mux)
	b.Cleanup(s.Close)
	return s.URL
}

// newCluster answers GET, and upgrades anything else: /sink reads all and then
// says how much, /source sends so many bytes, /idle waits.
func newCluster(b testing.TB) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	random := make([]byte, 1<<20)
	rand.Read(random)
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			io.WriteString(w, `{"kind":"Status","apiVersion":"v1"}`)
			return
		}
		conn, buffered, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n")
		kind, count, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		n, _ := strconv.ParseInt(count, 10, 64)
		switch kind {
		case "sink":
			io.CopyN(io.Discard, buffered, n)
			io.WriteString(conn, "done")
		case "source":
			for n > 0 {
				m, err := conn.Write(random[:min(n, int64(len(random)))])
				if err != nil {
					return
				}
				n -= int64(m)
			}
		}
		io.Copy(io.Discard, buffered)
	})}
	go s.Serve(ln)
	b.Cleanup(func() { s.Close() })
	return "http://" + ln.Addr().String()
}

// connectAgent connects the lab's agent with that number to kas by gRPC.
func connectAgent(b testing.TB, kas, cluster string, number int) {
	b.Helper()
	connectAgentBy(b, way{url: "grpc://" + kas}, cluster, number)
}

func connectAgentBy(b testing.TB, w way, cluster string, number int) {
	b.Helper()
	a, err := newAgent(w, cluster, number)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { a.Run(ctx); close(done) }()
	b.Cleanup(func() { cancel(); <-done })
	<-a.Ready()
}

// way is how agents reach kas: under which URL, where that is, and by whose
// certificates.
type way struct{ url, dial, roots string }

func newAgent(w way, cluster string, number int) (*agent.Agent, error) {
	o := agent.Options{KasURL: w.url, Token: strconv.Itoa(number), Cluster: &rest.Config{Host: cluster},
		Log: slog.New(slog.DiscardHandler), PodName: "bench", PodNamespace: "bench"}
	if w.dial != "" {
		o.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", w.dial)
		}
	}
	if w.roots != "" {
		roots, err := os.ReadFile(w.roots)
		if err != nil {
			return nil, err
		}
		o.RootCAs = x509.NewCertPool()
		o.RootCAs.AppendCertsFromPEM(roots)
	}
	return agent.New(o)
}

// env is w for a child process.
func (w way) env() []string {
	return []string{"KASGEN_BENCH_URL=" + w.url, "KASGEN_BENCH_DIAL=" + w.dial, "KASGEN_BENCH_ROOTS=" + w.roots}
}

// startAgents connects many agents from a process of their own; arguments come
// by the environment.
func startAgents() ([]string, error) {
	n, err := strconv.Atoi(os.Getenv("KASGEN_BENCH_COUNT"))
	if err != nil {
		return nil, err
	}
	w := way{os.Getenv("KASGEN_BENCH_URL"), os.Getenv("KASGEN_BENCH_DIAL"), os.Getenv("KASGEN_BENCH_ROOTS")}
	for i := range n {
		a, err := newAgent(w, os.Getenv("KASGEN_BENCH_CLUSTER"), i+1)
		if err != nil {
			return nil, err
		}
		go a.Run(context.Background())
		<-a.Ready()
	}
	return nil, nil
}

// upgrade opens an upgraded stream to a path of the cluster; api is an address,
// or https:// and an address.
func upgrade(b testing.TB, api, path string) (net.Conn, *bufio.Reader) {
	b.Helper()
	return upgradeBy(b, api, path, 1)
}

// upgradeBy does so through the agent with that number.
func upgradeBy(b testing.TB, api, path string, agent int) (net.Conn, *bufio.Reader) {
	b.Helper()
	var c net.Conn
	var err error
	if addr, secure := strings.CutPrefix(api, "https://"); secure {
		c, err = tls.Dial("tcp", addr, clientTLS("http/1.1"))
	} else {
		c, err = net.Dial("tcp", api)
	}
	if err != nil {
		b.Fatal(err)
	}
	fmt.Fprintf(c, "POST /k8s-proxy%s HTTP/1.1\r\nHost: h\r\nAuthorization: %s\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nContent-Length: 0\r\n\r\n", path, bearerFor(agent))
	r := bufio.NewReaderSize(c, 4<<10)
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		b.Fatal(err)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		body, _ := io.ReadAll(resp.Body)
		b.Fatalf("%s: %d %s", path, resp.StatusCode, body)
	}
	return c, r
}
