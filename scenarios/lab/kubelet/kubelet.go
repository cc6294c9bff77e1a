// Package kubelet runs a real node on loopback: containerd and a kubelet that
// joins an API server of the lab, and one pod in the host's network. It needs
// root. It knows nothing of kas. Its law: a machine is unfit only where that was
// tried; and what it changes on the machine, it puts back.
package kubelet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"k8s.io/client-go/kubernetes"

	"kasgen/scenarios/lab/apiserver"
	"kasgen/scenarios/lab/program"
)

// Options name the programs of a node.
type Options struct {
	Kubelet    string
	Containerd string
	Ctr        string // containerd's client
	Busybox    string // linked statically
	Guest      string // package guest, linked statically
	Log        *slog.Logger
}

// Node runs from Start to Close.
type Node struct {
	Port int32 // on which the pod echoes

	dir        string
	client     kubernetes.Interface
	containerd *containerd
	kubelet    *program.Program
	undo       []func() error // in the order in which things were done
}

// starting is how long each start may take on a busy machine.
const starting = 3 * time.Minute

// Start brings up a node that is named localhost, and its pod. An error that is
// ErrImpossible says that the machine is at fault.
func Start(ctx context.Context, s *apiserver.Server, o Options) (_ *Node, err error) {
	if os.Geteuid() != 0 {
		return nil, fmt.Errorf("%w: only root may", ErrImpossible)
	}
	if conn, err := net.Dial("unix", pluginSocket); err == nil {
		conn.Close()
		return nil, fmt.Errorf("%w: a kubelet runs here already", ErrImpossible)
	}
	n := &Node{}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close())
		}
	}()
	if n.client, err = kubernetes.NewForConfig(s.RESTConfig()); err != nil {
		return nil, err
	}
	if n.dir, err = os.MkdirTemp("", "kasgen-node-"); err != nil {
		return nil, err
	}
	if err := n.keep(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, starting)
	defer cancel()
	for _, step := range []func(context.Context, *apiserver.Server, Options) error{n.startContainerd, n.startKubelet, n.startPod} {
		if err := step(ctx, s, o); err != nil {
			return nil, err
		}
	}
	return n, nil
}

func (n *Node) startContainerd(ctx context.Context, _ *apiserver.Server, o Options) error {
	n.containerd = &containerd{dir: n.dir, ctr: o.Ctr}
	if err := n.containerd.start(ctx, o); err != nil {
		return err
	}
	archive := filepath.Join(n.dir, "image.tar")
	if err := writeImage(archive, o.Guest, o.Busybox); err != nil {
		return err
	}
	if _, err := n.containerd.run(ctx, "images", "import", "--snapshotter=native", archive); err != nil {
		return err
	}
	return n.containerd.try(ctx)
}

// kubeletConfiguration is that of a node without limits of its own: cgroups
// are the runtime's, and the machine's state evicts nobody.
const kubeletConfiguration = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: 127.0.0.1
port: %[1]s
healthzBindAddress: 127.0.0.1
healthzPort: %[2]s
readOnlyPort: 0
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: false}
  x509: {clientCAFile: %[3]q}
authorization: {mode: AlwaysAllow}
tlsCertFile: %[4]q
tlsPrivateKeyFile: %[5]q
containerRuntimeEndpoint: unix://%[6]s
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
failCgroupV1: false
failSwapOn: false
localStorageCapacityIsolation: false
makeIPTablesUtilChains: false
evictionHard: {memory.available: "0%%", nodefs.available: "0%%", imagefs.available: "0%%"}
imageGCHighThresholdPercent: 100
podLogsDir: %[7]q
volumePluginDir: %[8]q
resolvConf: ""
`

func (n *Node) startKubelet(ctx context.Context, s *apiserver.Server, o Options) error {
	id, err := s.Identity("localhost", "system:nodes")
	if err != nil {
		return err
	}
	kubeconfig := filepath.Join(n.dir, "kubeconfig")
	if err := writeKubeconfig(s, kubeconfig); err != nil {
		return err
	}
	port, err := free()
	if err != nil {
		return err
	}
	health, err := free()
	if err != nil {
		return err
	}
	file := filepath.Join(n.dir, "kubelet.yaml")
	text := fmt.Sprintf(kubeletConfiguration, port, health, id.CAFile, id.CertFile, id.KeyFile, n.containerd.socket(),
		filepath.Join(n.dir, "logs"), filepath.Join(n.dir, "plugins"))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	n.kubelet, err = program.Start(exec.Command(o.Kubelet, "--config="+file, "--kubeconfig="+kubeconfig,
		"--hostname-override="+name, "--root-dir="+filepath.Join(n.dir, "kubelet"), "--cert-dir="+filepath.Join(n.dir, "pki")), n.dir, o.Log)
	if err != nil {
		return err
	}
	return n.kubelet.Answers(ctx, "http://127.0.0.1:"+health+"/healthz", nil)
}

// free is a port that nobody listens on. Another process may take it before
// it is used; then what is started on it fails, and says so.
func free() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(ln.Addr().String())
	return port, errors.Join(err, ln.Close())
}
