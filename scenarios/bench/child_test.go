package bench

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"kasgen/runtime/host"
	"kasgen/runtime/kas"
)

// childKey says in the environment what a child process of this test binary
// is; gitlabKey where its GitLab is.
const (
	childKey  = "KASGEN_BENCH_CHILD"
	gitlabKey = "KASGEN_BENCH_GITLAB"
)

func TestMain(m *testing.M) {
	switch os.Getenv(childKey) {
	case "":
		os.Exit(m.Run())
	case "kas":
		serveChild(startKas)
	case "reference":
		serveChild(startReference)
	case "agents":
		serveChild(startAgents)
	case "whole":
		serveChild(startWhole)
	case "edge":
		serveChild(startEdge)
	case "bare-http":
		serveChild(startBareHTTP)
	case "bare-grpc":
		serveChild(startBareGRPC)
	}
}

// usage is what a child has used so far.
type usage struct {
	CPU   float64 // seconds, user and system
	Alloc float64 // bytes allocated since its start
	RSS   float64 // KiB, after a collection
}

// serveChild starts something, prints its addresses, and answers each line of
// input with its usage until input ends.
func serveChild(start func() ([]string, error)) {
	addrs, err := start()
	if err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(1)
	}
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(addrs); err != nil {
		os.Exit(1)
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		u, err := measure(in.Text() == "memory")
		if err != nil {
			fmt.Fprintln(os.Stderr, "child:", err)
			os.Exit(1)
		}
		if err := out.Encode(u); err != nil {
			os.Exit(1)
		}
	}
}

func measure(memory bool) (usage, error) {
	var u usage
	if memory {
		runtime.GC()
		debug.FreeOSMemory()
		statm, err := os.ReadFile("/proc/self/statm")
		if err != nil {
			return u, err
		}
		pages, err := strconv.Atoi(strings.Fields(string(statm))[1])
		if err != nil {
			return u, err
		}
		u.RSS = float64(pages * os.Getpagesize() / 1024)
	}
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return u, err
	}
	u.CPU = float64(r.Utime.Nano()+r.Stime.Nano()) / 1e9
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	u.Alloc = float64(m.TotalAlloc)
	return u, nil
}

// child is a process of this test binary.
type child struct {
	addrs []string
	in    io.Writer
	out   *json.Decoder
	b     testing.TB
}

func spawn(b testing.TB, what string, env ...string) *child {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), childKey+"="+what), env...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { in.Close(); cmd.Process.Kill(); cmd.Wait() })
	c := &child{in: in, out: json.NewDecoder(out), b: b}
	if err := c.out.Decode(&c.addrs); err != nil {
		b.Fatalf("%s did not start: %v", what, err)
	}
	return c
}

func (c *child) ask(what string) usage {
	c.b.Helper()
	if _, err := io.WriteString(c.in, what+"\n"); err != nil {
		c.b.Fatal(err)
	}
	var u usage
	if err := c.out.Decode(&u); err != nil {
		c.b.Fatal(err)
	}
	return u
}

// startKas runs kasgen's kas; its addresses are the agents' and the API's.
func startKas() ([]string, error) {
	s, err := newKas()
	if err != nil {
		return nil, err
	}
	go s.Serve(context.Background())
	return kasAddrs(s), nil
}

func kasAddrs(s *kas.Server) []string {
	return []string{s.Addrs()[kasAgents].String(), s.Addrs()[kasAPI].String()}
}

// kasAgents and kasAPI are kas's listeners by their addresses in its file.
const kasAgents, kasAPI = "127.0.0.1:8150", "127.0.0.1:8154"

func newKas() (*kas.Server, error) {
	config := fmt.Sprintf(`
gitlab: {address: %q, authentication_secret_file: secret}
agent:
  listen: {address: "127.0.0.1:8150", websocket: true}
  kubernetes_api: {listen: {address: "127.0.0.1:8154"}, url_path_prefix: /k8s-proxy}
observability: {listen: {address: "127.0.0.1:8151"}}
api: {listen: {authentication_secret_file: secret}}
private_api: {listen: {authentication_secret_file: secret}}
`, os.Getenv(gitlabKey))
	c, err := kas.Load("kas-config.yaml", []byte(config))
	if err != nil {
		return nil, err
	}
	h := host.Machine(slog.New(slog.DiscardHandler))
	h.ReadFile = func(string) ([]byte, error) { return []byte(base64.StdEncoding.EncodeToString(make([]byte, 32))), nil }
	h.Listen = func(context.Context, string, string) (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }
	return c.New(context.Background(), h, "bench")
}

// metric reports a figure, and prints it where the benchmark fails: Go leaves
// the figures of a failed one out.
func metric(b *testing.B, value float64, unit string) {
	b.ReportMetric(value, unit)
	b.Cleanup(func() {
		if b.Failed() {
			b.Logf("%.4g %s", value, unit)
		}
	})
}
