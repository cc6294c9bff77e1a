//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"kasgen/runtime"
	"kasgen/scenarios/demo"
	"kasgen/scenarios/lab"
	"kasgen/scenarios/lab/apiserver"
	"kasgen/scenarios/lab/cluster"
)

// atOnce is how many cells run at once: a kubectl mostly computes at first
// and mostly waits then.
const atOnce = 4

// testThrough has every topology on either front carry CI jobs that are
// themselves in the cluster.
func testThrough(t *testing.T, s *apiserver.Server) {
	config, err := s.User(agentUser)
	if err != nil {
		t.Fatal(err)
	}
	var worlds []*world
	for _, front := range []runtime.Programs{native, embedded} {
		for _, topology := range topologies() {
			w := &world{topology: topology, front: front, kubeconfig: filepath.Join(t.TempDir(), "kubeconfig")}
			w.Lab = startLab(t, topology, front, lab.Options{Cluster: config, CIJob: true})
			text, err := w.Kubeconfig()
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(w.kubeconfig, text, 0o600); err != nil {
				t.Fatal(err)
			}
			worlds = append(worlds, w)
		}
	}
	kubectls := clients(t)
	t.Run("kubectl", func(t *testing.T) {
		testKubectl(t, s, "kubectl", all("kasgen-cell", pod{cluster.Pod, cluster.ContainerPort}, worlds, kubectls))
	})
	t.Run("jobs", func(t *testing.T) { testJobs(t, s, worlds) })
	t.Run("kubelet", func(t *testing.T) { testKubelet(t, s, worlds, kubectls) })
}

// testKubectl is the promise itself, by every kubectl. what is what the counts
// are printed of.
func testKubectl(t *testing.T, s *apiserver.Server, what string, cells []*cell) {
	began := time.Now()
	queue := make(chan *cell)
	var work sync.WaitGroup
	for range atOnce {
		work.Go(func() {
			for c := range queue {
				c.try(t.Context())
			}
		})
	}
	for _, c := range cells {
		queue <- c
	}
	close(queue)
	work.Wait()
	took := time.Since(began).Round(time.Second)

	// A client's name is the part of its User-Agent before the version.
	prefix, _, _ := strings.Cut(cells[0].id, "-0")
	audited, err := s.Audited(prefix)
	if err != nil {
		t.Fatal(err)
	}
	of := map[string][]apiserver.Request{}
	for _, r := range audited {
		id, _, _ := strings.Cut(r.UserAgent, "/")
		of[id] = append(of[id], r)
	}
	count := map[demo.Result]int{}
	again := 0
	for _, c := range cells {
		c.check(of[c.id])
		again += c.again
		if c.got == c.want {
			count[c.got]++
			continue
		}
		count[demo.Fail]++
		t.Errorf("%s: %s, want %s, after %s: %s", c, c.got, c.want, c.took.Round(time.Millisecond), c.why)
	}
	if again > 0 {
		t.Logf("%d times anew, because kubectl had lost something by itself (kubernetes/kubernetes#131189)", again)
	}
	printTable(t.Output(), cells)
	fmt.Fprintf(t.Output(), "%s: %s, by each transport: %d cells: %d pass, %d refused as promised, %d fail, in %s\n",
		what, dimensions(cells), len(cells), count[demo.Pass], count[demo.Refused], count[demo.Fail], took)
}
