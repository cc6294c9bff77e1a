package balancer

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"kasgen/runtime/balancer/balancertest"
	"kasgen/runtime/host"
)

// The balancer that is measured is a process of its own (this test binary
// again), so that the cost of clients and servers is not counted with it.

const (
	benchBackend = "BALANCER_BENCH_BACKEND"
	benchPreread = "BALANCER_BENCH_PREREAD"
	benchRounds  = 7
	benchBytes   = 192 << 20 // each way, a round
	idleConns    = 1000
	mostIdleKiB  = 14
)

// serveForBenchmark is the child: it serves until its input ends.
func serveForBenchmark(backend string) {
	b := &Backend{
		Name: "b", HalfClose: true, Idle: time.Hour,
		Pool: NewPool("b", RoundRobin, true, []*Peer{{Name: "s", Address: backend, Weight: 1}}),
	}
	route := to(b)
	if os.Getenv(benchPreread) != "" {
		route = func(v *View) Decision {
			h, state := v.Hello()
			if state == HelloMore {
				return Decision{Wait: true}
			}
			if h.ServerName != "kas.example.com" {
				return Decision{Cause: CauseNoBackend}
			}
			return Decision{Backend: b}
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	s, err := New(ctx, &Config{Drain: time.Millisecond, Pools: []*Pool{b.Pool}, Frontends: []*Frontend{{
		Name: "f", Binds: []*Bind{{Address: testAddress}}, Peek: 15360, Inspect: time.Minute, Idle: time.Hour, Route: route,
	}}}, host.Machine(quiet()))
	if err != nil {
		panic(err)
	}
	_, _ = fmt.Fprintln(os.Stdout, s.Addrs()[testAddress])
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	if err := s.Serve(ctx); err != nil {
		panic(err)
	}
}

// front is a running balancer to be measured.
type front struct {
	address string
	pid     int
}

func startChild(b *testing.B, backend string, preread bool) front {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), benchBackend+"="+backend)
	if preread {
		cmd.Env = append(cmd.Env, benchPreread+"=1")
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return front{address: strings.TrimSpace(line), pid: cmd.Process.Pid}
}

// startNginx is one nginx process with its defaults.
func startNginx(b *testing.B, backend string, preread bool) (front, bool) {
	b.Helper()
	bin, err := exec.LookPath("nginx")
	if err != nil {
		if os.Getenv("CI") == "true" {
			b.Fatal("nginx is not installed, and CI wants it")
		}
		b.Log("nginx is not installed: no ratio")
		return front{}, false
	}
	dir, bind := b.TempDir(), balancertest.FreePort(b)
	conf := "worker_rlimit_nofile 8192; events { worker_connections 4096; }\nstream { upstream b { server " + backend + "; }\n"
	if module := "/usr/lib/nginx/modules/ngx_stream_module.so"; fileExists(module) {
		conf = "load_module " + module + ";\n" + conf
	}
	if preread {
		conf += "map $ssl_preread_server_name $to { kas.example.com b; } server { listen " + bind + "; ssl_preread on; proxy_half_close on; proxy_pass $to; } }\n"
	} else {
		conf += "server { listen " + bind + "; proxy_half_close on; proxy_pass b; } }\n"
	}
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		b.Fatal(err)
	}
	pid, wait := balancertest.StartProcess(b, bin, "-p", dir, "-c", file, "-g", "daemon off; master_process off; pid "+dir+"/pid; error_log stderr;")
	return front{address: wait(bind), pid: pid}, true
}

func fileExists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// cpu is what a process has used so far, in the steps of /proc: 10 ms.
func (f front) cpu(b *testing.B) time.Duration {
	b.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", f.pid))
	if err != nil {
		b.Skipf("skipping: no /proc to read the CPU time from: %v", err)
	}
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	if err := errors.Join(err1, err2); err != nil {
		b.Fatal(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

// resident is the process's memory in KiB.
func (f front) resident(b *testing.B) int {
	b.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", f.pid))
	if err != nil {
		b.Skipf("skipping: no /proc to read the memory from: %v", err)
	}
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				b.Fatal(err)
			}
			return n
		}
	}
	b.Fatal("no VmRSS")
	return 0
}

// carry moves benchBytes up and as many down on one connection, and returns
// the front's CPU seconds a GB.
func (f front) carry(b *testing.B, client *tls.Config) float64 {
	b.Helper()
	raw, err := net.Dial("tcp", f.address)
	if err != nil {
		b.Fatal(err)
	}
	defer raw.Close()
	c := asHalfConn(raw)
	if client != nil {
		c = tls.Client(raw, client)
	}
	before := f.cpu(b)
	block := randomBytes(64 << 10)
	for sent := 0; sent < benchBytes; sent += len(block) {
		if _, err := c.Write(block); err != nil {
			b.Fatal(err)
		}
	}
	if err := c.CloseWrite(); err != nil {
		b.Fatal(err)
	}
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}, block)
	if err != nil || n != benchBytes {
		b.Fatalf("%d bytes came down, %v", n, err)
	}
	return (f.cpu(b) - before).Seconds() / (2 * benchBytes / 1e9)
}

// upAndDown takes everything, and then answers with as much.
func upAndDown(c io.ReadWriter) {
	block := make([]byte, 64<<10)
	for n := 0; ; {
		m, err := c.Read(block)
		n += m
		if err != nil {
			for sent := 0; sent < n; sent += len(block) {
				if _, err := c.Write(block[:min(len(block), n-sent)]); err != nil {
					return
				}
			}
			return
		}
	}
}

func BenchmarkSplice(b *testing.B) {
	certificate, roots := balancertest.CombinedPEM(b)
	pair, err := tls.LoadX509KeyPair(certificate, certificate)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("cleartext", func(b *testing.B) {
		benchmarkFronts(b, upstreamServer(b, func(c *net.TCPConn) { upAndDown(c) }), nil)
	})
	b.Run("passthrough", func(b *testing.B) {
		backend := upstreamServer(b, func(c *net.TCPConn) {
			s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{pair}})
			upAndDown(s)
			_ = s.CloseWrite()
		})
		benchmarkFronts(b, backend, &tls.Config{RootCAs: roots, ServerName: "kas.example.com"})
	})
}

// benchmarkFronts runs rounds in turn, so that noise meets both fronts, and
// compares their medians.
func benchmarkFronts(b *testing.B, backend string, client *tls.Config) {
	own := startChild(b, backend, client != nil)
	nginx, have := startNginx(b, backend, client != nil)
	for b.Loop() {
		var ours, theirs []float64
		for range benchRounds {
			ours = append(ours, own.carry(b, client))
			if have {
				theirs = append(theirs, nginx.carry(b, client))
			}
		}
		b.ReportMetric(median(ours), "cpu-s/GB")
		if !have {
			continue
		}
		ratio := median(ours) / median(theirs)
		b.ReportMetric(median(theirs), "nginx-cpu-s/GB")
		b.ReportMetric(ratio, "x-nginx")
		if ratio > 1 {
			b.Fatalf("the balancer takes %.2f times nginx's CPU a byte; at most 1 is wanted (%.3f of %.3f)", ratio, ours, theirs)
		}
	}
}

func median(v []float64) float64 {
	v = slices.Clone(v)
	slices.Sort(v)
	return v[len(v)/2]
}

// BenchmarkIdle opens connections that exchange a byte and then keep quiet.
func BenchmarkIdle(b *testing.B) {
	backend := upstreamServer(b, echo)
	for b.Loop() {
		own := startChild(b, backend, false)
		ours := own.idle(b)
		b.ReportMetric(ours, "KiB/conn")
		if nginx, have := startNginx(b, backend, false); have {
			b.ReportMetric(nginx.idle(b), "nginx-KiB/conn")
		}
		if ours > mostIdleKiB {
			b.Fatalf("an idle connection takes %.1f KiB, at most %d are wanted", ours, mostIdleKiB)
		}
	}
}

func (f front) idle(b *testing.B) float64 {
	b.Helper()
	var wg sync.WaitGroup
	exchange := func() net.Conn {
		c, err := net.Dial("tcp", f.address)
		if err == nil {
			_, err = c.Write([]byte("x"))
		}
		if err == nil {
			_, err = c.Read(make([]byte, 1))
		}
		if err != nil {
			b.Error(err)
		}
		return c
	}
	_ = exchange().Close()
	before := f.resident(b)
	conns := make([]net.Conn, idleConns)
	for i := range conns {
		wg.Go(func() { conns[i] = exchange() })
		if i%50 == 49 {
			wg.Wait()
		}
	}
	wg.Wait()
	grown := f.resident(b) - before
	for _, c := range conns {
		if c != nil {
			_ = c.Close()
		}
	}
	return float64(grown) / idleConns
}
