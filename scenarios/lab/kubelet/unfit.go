package kubelet

import "strings"

// unfit says whether it is the machine that a runtime complains of: what the
// kernel, a sandbox around us or missing privileges do not let it do. Anything
// else, a configuration or an image of ours among it, is a fault of the lab.
func unfit(complaint string) bool {
	complaint = strings.ToLower(complaint)
	// runc has come as far as our own program, which does not start.
	if strings.Contains(complaint, `exec: "`) || strings.Contains(complaint, "exec format error") {
		return false
	}
	for _, of := range []string{
		"operation not permitted", "permission denied", "read-only file system", // privileges
		"function not implemented", "operation not supported", "no such device", // the kernel
		"no cgroup mount found", "cgroup mountpoint does not exist", "cgroups: cannot", "controller is not available",
		"can't get final child's pid from pipe", // without CAP_SYS_RESOURCE
	} {
		if strings.Contains(complaint, of) {
			return true
		}
	}
	return false
}
