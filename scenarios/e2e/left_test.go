//go:build e2e

package e2e

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// machine is what a node could leave behind: mounts, the kernel's settings, and
// processes.
type machine struct {
	Mounts    []string
	Settings  map[string]string
	Processes []string
}

// restless are settings that the kernel changes by itself.
var restless = []string{"ns_last_pid", "perf_event_max_sample_rate", "perf_cpu_time_max_percent", "perf_event_mlock_kb"}

// look takes stock of the machine. It reads the kernel's own lists, and asks
// nobody who knows what a node changes.
func look(t *testing.T) machine {
	t.Helper()
	m := machine{Settings: map[string]string{}}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); len(fields) > 4 {
			m.Mounts = append(m.Mounts, fields[4])
		}
	}
	slices.Sort(m.Mounts)
	for _, pattern := range []string{"vm/*", "kernel/*", "kernel/keys/*", "net/ipv4/ip_forward", "net/ipv4/conf/*/forwarding", "net/ipv4/conf/*/route_localnet", "net/bridge/*"} {
		names, err := filepath.Glob("/proc/sys/" + pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if text, err := os.ReadFile(name); err == nil && !slices.Contains(restless, filepath.Base(name)) {
				m.Settings[name] = string(text)
			}
		}
	}
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range commands {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended
		}
		program, _, _ := strings.Cut(string(text), "\x00")
		if slices.ContainsFunc([]string{"containerd", "kubelet", "runc", "guest"}, func(of string) bool { return strings.HasPrefix(filepath.Base(program), of) }) {
			m.Processes = append(m.Processes, strings.ReplaceAll(string(text), "\x00", " "))
		}
	}
	slices.Sort(m.Processes)
	return m
}

// nothingLeft holds the machine to how it was before.
func nothingLeft(t *testing.T, before machine) {
	t.Helper()
	if d := cmp.Diff(before, look(t)); d != "" {
		t.Errorf("the node has left something on the machine (-before +after):\n%s", d)
	}
}

// TestKubernetesLook: a machine on which something was left is another one.
func TestKubernetesLook(t *testing.T) {
	t.Parallel()
	m := look(t)
	if !slices.Contains(m.Mounts, "/proc") || m.Settings["/proc/sys/vm/overcommit_memory"] == "" || !slices.Contains(slices.Collect(maps.Keys(m.Settings)), "/proc/sys/net/ipv4/ip_forward") {
		t.Errorf("mounts %q, settings %q", m.Mounts, m.Settings)
	}
}
