package kubelet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"kasgen/scenarios/lab/program"
)

// ErrImpossible is for machines on which no node can run: not as root, beside
// another kubelet, or where a container was tried and the runtime complained of
// the machine. It is no fault of what is tested.
var ErrImpossible = errors.New("no node runs on this machine")

// namespace is where containerd keeps what a kubelet asks for.
const namespace = "k8s.io"

// configuration has nothing outside dir but the shims' sockets, whose place is
// fixed; the stream server, which the kubelet is told of, is on loopback. The
// score that a process has when memory runs out can be lowered only with
// CAP_SYS_RESOURCE, and without the setting no pod would start.
const configuration = `version = 2
root = %[1]q
state = %[2]q
[grpc]
  address = %[3]q
[plugins."io.containerd.internal.v1.opt"]
  path = %[4]q
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = %[5]q
  restrict_oom_score_adj = true
  disable_apparmor = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "native"
`

// containerd runs below dir.
type containerd struct {
	dir, ctr string
	process  *program.Program
}

func (c *containerd) socket() string { return filepath.Join(c.dir, "containerd.sock") }

// start starts containerd and waits until it answers.
func (c *containerd) start(ctx context.Context, o Options) error {
	text := fmt.Sprintf(configuration, filepath.Join(c.dir, "root"), filepath.Join(c.dir, "state"), c.socket(), filepath.Join(c.dir, "opt"), image)
	file := filepath.Join(c.dir, "containerd.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	var err error
	if c.process, err = program.Start(exec.Command(o.Containerd, "--config="+file), c.dir, o.Log); err != nil {
		return err
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		_, failed := c.run(ctx, "version")
		if failed == nil {
			return nil
		}
		if err := c.process.Running(); err != nil {
			// What it has said before is of plugins that it can do without.
			said := strings.Split(strings.TrimSpace(c.process.Said()), "\n")
			return blamed(err, said[len(said)-1])
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("containerd does not answer: %w: %s", failed, c.process.Said())
		case <-tick.C:
		}
	}
}

// run runs containerd's client.
func (c *containerd) run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.ctr, append([]string{"--address=" + c.socket(), "--namespace=" + namespace}, args...)...)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &complaint, 5*time.Second
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("ctr %s: %w: %s", args[0], err, bytes.TrimSpace(complaint.Bytes()))
	}
	return out.String(), nil
}

// try runs a container that ends at once.
func (c *containerd) try(ctx context.Context) error {
	_, err := c.run(ctx, "run", "--rm", "--snapshotter=native", "--net-host", image, "kasgen-try", "/bin/true")
	if err != nil && ctx.Err() == nil {
		return blamed(err, err.Error())
	}
	return err
}

// blamed is ErrImpossible where the machine is at fault, by a complaint.
func blamed(err error, complaint string) error {
	if unfit(complaint) {
		return fmt.Errorf("%w: %w", ErrImpossible, err)
	}
	return err
}
