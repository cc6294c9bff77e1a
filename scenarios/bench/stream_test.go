package bench

import (
	"crypto/rand"
	"fmt"
	"io"
	"testing"
	"time"
)

// flow is one bulk transfer as seen from kas.
type flow struct{ seconds, cpu, alloc float64 }

const bulk = 48 << 20 // bytes of one transfer; random, since zeros flatter gzip

// BenchmarkUpgradedStream sends random bytes both ways through proxy, tunnel
// and agent, by kasgen's kas and by one that forwards as GitLab's does, in
// turn. Rounds are interleaved, because the machine is shared.
func BenchmarkUpgradedStream(b *testing.B) {
	gitlab, cluster := newGitLab(b), newCluster(b)
	names := []string{"kas", "reference"}
	children := map[string]*child{}
	for _, n := range names {
		children[n] = spawn(b, n, gitlabKey+"="+gitlab)
		connectAgent(b, children[n].addrs[0], cluster, 1)
	}
	payload := make([]byte, 1<<20)
	rand.Read(payload)
	for _, direction := range []string{"up", "down"} {
		b.Run(direction, func(b *testing.B) {
			got := map[string][]flow{}
			for range max(b.N, 3) {
				for _, n := range names {
					got[n] = append(got[n], transfer(b, children[n], children[n].addrs[1], direction, payload))
				}
			}
			ours, theirs := best(got["kas"]), best(got["reference"])
			gb := float64(bulk) / 1e9
			b.ReportMetric(0, "ns/op")
			metric(b, bulk/ours.seconds/1e6, "MB/s")
			metric(b, theirs.seconds/ours.seconds, "x-reference-speed")
			metric(b, ours.cpu/gb, "cpu-s/GB")
			metric(b, theirs.cpu/gb, "reference-cpu-s/GB")
			metric(b, ours.cpu/theirs.cpu, "x-reference-cpu")
			metric(b, ours.alloc/bulk, "alloc-B/B")
			goal := map[string]float64{"up": 0.25, "down": 0.4}[direction]
			if r := ours.cpu / theirs.cpu; r > goal {
				b.Errorf("%s: kas's CPU a byte is %.2f of the reference's, the goal is %.2f", direction, r, goal)
			}
			if r := theirs.seconds / ours.seconds; direction == "up" && r < 5 {
				b.Errorf("up: %.1f times the reference's speed, the goal is 5", r)
			}
			if r := ours.alloc / bulk; r > 0.1 {
				b.Errorf("%s: %.2f bytes allocated a byte, the goal is 0.1", direction, r)
			}
		})
	}
}

// transfer sends bytes one way through c, whose Kubernetes API is at api.
func transfer(b *testing.B, c *child, api, direction string, payload []byte) flow {
	b.Helper()
	kind := map[string]string{"up": "sink", "down": "source"}[direction]
	before, began := c.ask("cpu"), time.Now()
	conn, r := upgrade(b, api, fmt.Sprintf("/%s/%d", kind, bulk))
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(2 * time.Minute))
	if direction == "up" {
		for n := 0; n < bulk; n += len(payload) {
			if _, err := conn.Write(payload); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := io.ReadFull(r, make([]byte, len("done"))); err != nil {
			b.Fatal(err)
		}
	} else if _, err := io.CopyN(io.Discard, r, bulk); err != nil {
		b.Fatal(err)
	}
	seconds := time.Since(began).Seconds()
	after := c.ask("cpu")
	return flow{seconds, after.CPU - before.CPU, after.Alloc - before.Alloc}
}

// best is the least of each over all rounds: what others do on the machine
// only ever adds to it.
func best(flows []flow) flow {
	m := flows[0]
	for _, f := range flows[1:] {
		m = flow{min(m.seconds, f.seconds), min(m.cpu, f.cpu), min(m.alloc, f.alloc)}
	}
	return m
}
