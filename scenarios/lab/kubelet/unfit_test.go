package kubelet

import "testing"

func TestUnfit(t *testing.T) {
	t.Parallel()
	for complaint, want := range map[string]bool{
		// The machine.
		`failed to mount rootfs component: operation not permitted`:                                                              true,
		`runc create failed: unable to start container process: error during container init: mounting "proc": Permission denied`: true,
		`mkdir /sys/fs/cgroup/k8s.io: read-only file system`:                                                                     true,
		`runc did not terminate successfully: function not implemented`:                                                          true,
		`cgroups: cgroup mountpoint does not exist: unknown`:                                                                     true,
		`runc create failed: unable to start container process: can't get final child's PID from pipe: EOF`:                      true,
		// The lab.
		`containerd: failed to load TOML: /x/containerd.toml: (3, 1): unexpected token`:                          false,
		`plugin "io.containerd.grpc.v1.cri" has invalid configuration`:                                           false,
		`image "localhost/kasgen:1": not found`:                                                                  false,
		`runc create failed: exec: "/bin/true": permission denied: unknown`:                                      false,
		`runc create failed: unable to start container process: exec: "/bin/true": stat /bin/true: no such file`: false,
		`exec /bin/true: exec format error`:                                                                      false,
		`address already in use`:                                                                                 false,
	} {
		if got := unfit(complaint); got != want {
			t.Errorf("%s: unfit: %v, want %v", complaint, got, want)
		}
	}
}
