package kubelet

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// settings are what a kubelet sets in the kernel, and a container runtime.
func settings() []string {
	return []string{"vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
		"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes", "net/ipv4/ip_forward"}
}

// pluginSocket is where a kubelet listens for plugins, whatever its
// configuration says.
const pluginSocket = "/var/lib/kubelet/device-plugins/kubelet.sock"

// places are outside the node's own directory, their paths fixed in the
// programs.
func places() []string {
	return []string{"/run/containerd", "/run/containerd/s", "/run/containerd/runc", "/run/containerd/runc/" + namespace,
		"/run/containerd/fifo", "/etc/cni", "/etc/cni/net.d", "/var/log/containers", "/var/lib/kubelet", "/var/lib/kubelet/device-plugins", pluginSocket}
}

// keep notes the machine's state, to be put back in the end.
func (n *Node) keep() error {
	for _, name := range settings() {
		path := filepath.Join("/proc/sys", name)
		was, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		n.undo = append(n.undo, func() error {
			if is, err := os.ReadFile(path); err != nil || string(is) == string(was) {
				return err
			}
			return os.WriteFile(path, was, 0o644)
		})
	}
	for _, dir := range places() {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			n.undo = append(n.undo, func() error { return removeEmpty(dir) })
		}
	}
	return n.keepCgroups()
}

// keepCgroups has the groups go that are made for containers.
func (n *Node) keepCgroups() error {
	groups, err := filepath.Glob("/sys/fs/cgroup/*")
	if err != nil {
		return err
	}
	for _, group := range append(groups, "/sys/fs/cgroup/") {
		dir := filepath.Join(group, namespace)
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			n.undo = append(n.undo, func() error { return removeEmpty(dir) })
		}
	}
	return nil
}

// removeEmpty removes a file, or a directory if it is empty.
func removeEmpty(dir string) error {
	err := os.Remove(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// ending is how long the end may take.
const ending = time.Minute

// Close ends the pod, the kubelet and containerd with every container, and
// puts the machine back.
func (n *Node) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), ending)
	defer cancel()
	var err error
	if n.kubelet != nil {
		err = n.endPod(ctx)
		n.kubelet.End()
	}
	if n.containerd != nil && n.containerd.process != nil {
		err = errors.Join(err, n.containerd.end(ctx))
	}
	err = errors.Join(err, unmountBelow(n.dir))
	for _, undo := range slices.Backward(n.undo) {
		err = errors.Join(err, undo())
	}
	return errors.Join(err, os.RemoveAll(n.dir))
}

// end ends every container that the kubelet has left, the pause ones, and
// containerd.
func (c *containerd) end(ctx context.Context) error {
	defer c.process.End()
	if c.process.Running() != nil {
		return nil
	}
	out, err := c.run(ctx, "tasks", "list", "--quiet")
	if err != nil {
		return err
	}
	for _, id := range strings.Fields(out) {
		_, failed := c.run(ctx, "tasks", "delete", "--force", id)
		err = errors.Join(err, failed)
	}
	if out, failed := c.run(ctx, "containers", "list", "--quiet"); failed == nil && out != "" {
		_, failed := c.run(ctx, append([]string{"containers", "delete"}, strings.Fields(out)...)...)
		err = errors.Join(err, failed)
	}
	return err
}

// unmountBelow takes off what lies below a directory, the last one first.
func unmountBelow(dir string) error {
	if dir == "" {
		return nil
	}
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	for _, line := range slices.Backward(strings.Split(string(text), "\n")) {
		if fields := strings.Fields(line); len(fields) > 4 && strings.HasPrefix(fields[4], dir+"/") {
			err = errors.Join(err, unix.Unmount(fields[4], unix.MNT_DETACH))
		}
	}
	return err
}
