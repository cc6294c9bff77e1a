//go:build e2e

package e2e

import (
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"kasgen/internal/judge"
	"kasgen/scenarios/lab/apiserver"
	"kasgen/scenarios/lab/kubelet"
	"kasgen/scenarios/lab/kubernetes"
)

// testKubelet is the same on a node with a kubelet and containerd. A machine
// that runs no containers is told so, with what containerd said.
func testKubelet(t *testing.T, s *apiserver.Server, worlds []*world, kubectls []client) {
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	o := kubelet.Options{Log: log, Guest: filepath.Join(t.TempDir(), "guest")}
	for name, path := range map[string]*string{"containerd": &o.Containerd, "ctr": &o.Ctr, "runc": new(string), "busybox": &o.Busybox} {
		*path = judge.Find(t, name)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", o.Guest, "kasgen/scenarios/lab/kubelet/guest")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	program, err := kubernetes.GetKubelet(t.Context(), log)
	if err != nil {
		t.Fatal(err)
	}
	o.Kubelet = program.Path
	before := look(t)
	n, err := kubelet.Start(t.Context(), s, o)
	if errors.Is(err, kubelet.ErrImpossible) {
		t.Skipf("skipping kubelet and containerd: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		nothingLeft(t, before)
	}()
	testKubectl(t, s, "kubelet and containerd", all("kasgen-contained", pod{kubelet.Pod, n.Port}, worlds, kubectls))
}
