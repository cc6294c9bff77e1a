package pod

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

func killGroup(leader int) { _ = syscall.Kill(-leader, syscall.SIGKILL) }

// killMarked kills what left its process group and its session, by the mark
// in its environment. Only Linux shows other processes' environment in files;
// elsewhere such a process is left.
func killMarked(mark string) {
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, file := range files {
		env, err := os.ReadFile(file)
		if err != nil || !bytes.Contains(append([]byte{0}, env...), []byte("\x00"+mark+"\x00")) {
			continue // ended meanwhile, somebody else's, or not ours
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil && pid != os.Getpid() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// removeAll removes dir. A process that was killed a moment ago may still
// finish a system call that makes a file, so a directory that is not empty is
// tried again.
func removeAll(dir string) error {
	var err error
	for wait := time.Millisecond; wait < time.Second; wait *= 2 {
		if err = os.RemoveAll(dir); err == nil {
			return nil
		}
		<-time.After(wait)
	}
	return fmt.Errorf("removing the pod's directory: %w", err)
}
