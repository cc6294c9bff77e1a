package bench

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// BenchmarkGet asks for small objects by 32 workers at once.
func BenchmarkGet(b *testing.B) {
	const workers, requests = 32, 6000
	kas := spawn(b, "kas", gitlabKey+"="+newGitLab(b))
	connectAgent(b, kas.addrs[0], newCluster(b), 1)
	transport := &http.Transport{MaxIdleConnsPerHost: workers}
	defer transport.CloseIdleConnections()
	get := func(n int) {
		var work sync.WaitGroup
		for range workers {
			work.Go(func() {
				for range n / workers {
					req, err := http.NewRequest("GET", "http://"+kas.addrs[1]+"/k8s-proxy/api/v1/pods", nil)
					if err != nil {
						b.Error(err)
						return
					}
					req.Header.Set("Authorization", bearer)
					resp, err := transport.RoundTrip(req)
					if err != nil {
						b.Error(err)
						return
					}
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
					if resp.StatusCode != 200 {
						b.Errorf("status %d", resp.StatusCode)
						return
					}
				}
			})
		}
		work.Wait()
	}
	get(workers * 10) // the agent's pool grows to what is wanted
	var flows []flow
	for range max(b.N, 3) {
		before, began := kas.ask("cpu"), time.Now()
		get(requests)
		after := kas.ask("cpu")
		flows = append(flows, flow{seconds: time.Since(began).Seconds(), cpu: after.CPU - before.CPU})
	}
	m := best(flows)
	b.ReportMetric(0, "ns/op")
	metric(b, requests/m.seconds, "req/s")
	ms := m.cpu / requests * 1e3
	metric(b, ms, "kas-cpu-ms/req")
	if ms > 0.5 {
		b.Errorf("%.2f ms of kas's CPU a request, the goal is 0.5", ms)
	}
}

// BenchmarkUpgradeFirstByte is how long a client waits for the 101 on an idle
// path, and for the first byte back.
func BenchmarkUpgradeFirstByte(b *testing.B) {
	kas := spawn(b, "kas", gitlabKey+"="+newGitLab(b))
	connectAgent(b, kas.addrs[0], newCluster(b), 1)
	var times []float64
	for range max(b.N, 50) {
		began := time.Now()
		c, r := upgrade(b, kas.addrs[1], "/source/1")
		if _, err := r.ReadByte(); err != nil {
			b.Fatal(err)
		}
		times = append(times, time.Since(began).Seconds()*1e3)
		c.Close()
	}
	slices.Sort(times)
	b.ReportMetric(0, "ns/op")
	p50 := times[len(times)/2]
	metric(b, p50, "p50-ms")
	metric(b, times[len(times)*9/10], "p90-ms")
	if p50 > 3 {
		b.Errorf("the first byte of an upgrade came after %.1f ms, the goal is 3", p50)
	}
}

// BenchmarkIdle is what agents and upgraded streams cost kas while nothing
// happens, as growth of its resident memory.
func BenchmarkIdle(b *testing.B) {
	for _, n := range []int{1000, 4000} {
		b.Run(fmt.Sprintf("agents-%d", n), func(b *testing.B) {
			gitlab, cluster := newGitLab(b), newCluster(b)
			kas := spawn(b, "kas", gitlabKey+"="+gitlab)
			before := kas.ask("memory")
			spawnAgents(b, way{url: "grpc://" + kas.addrs[0]}, cluster, n)
			report(b, before, kas.ask("memory"), n, 60)
		})
		b.Run(fmt.Sprintf("streams-%d", n), func(b *testing.B) {
			const agents = 20 // an agent holds at most 500 tunnels
			gitlab, cluster := newGitLab(b), newCluster(b)
			kas := spawn(b, "kas", gitlabKey+"="+gitlab)
			spawnAgents(b, way{url: "grpc://" + kas.addrs[0]}, cluster, agents)
			before := kas.ask("memory")
			for i := range n {
				c, _ := upgradeBy(b, kas.addrs[1], "/idle/0", i%agents+1)
				defer c.Close()
			}
			report(b, before, kas.ask("memory"), n, 60)
		})
	}
}

// spawnAgents connects n agents from a process of their own.
func spawnAgents(b *testing.B, w way, cluster string, n int) {
	spawn(b, "agents", append(w.env(), "KASGEN_BENCH_COUNT="+fmt.Sprint(n), "KASGEN_BENCH_CLUSTER="+cluster)...)
}

func report(b *testing.B, before, after usage, n int, goal float64) {
	each := (after.RSS - before.RSS) / float64(n)
	b.ReportMetric(0, "ns/op")
	metric(b, each, "KiB/each")
	metric(b, goal, "goal-KiB/each")
	if each > goal {
		b.Errorf("%.1f KiB each, the goal is %.0f", each, goal)
	}
}
