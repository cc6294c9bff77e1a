package acme

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// lockIn, in the environment, makes the test binary a process that holds the
// lock "a" of that directory until its standard input ends.
const lockIn = "KASGEN_TEST_LOCK_IN"

func holdLock(dir string) int {
	d, err := OpenDirectory(dir)
	if err == nil {
		var unlock func()
		if _, unlock, err = d.Lock(context.Background(), "a"); err == nil {
			defer unlock()
			fmt.Println("locked")
			_, err = io.Copy(io.Discard, os.Stdin)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// TestLockOfProcesses: another process has the lock, and it is free when that
// one gives it back, and when it is killed.
func TestLockOfProcesses(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"unlock", "death"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			d, err := OpenDirectory(dir)
			if err != nil {
				t.Fatal(err)
			}
			other := exec.CommandContext(t.Context(), os.Args[0])
			other.Env = append(os.Environ(), lockIn+"="+dir)
			other.Stderr = os.Stderr
			hold, err := other.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := other.StdoutPipe()
			if err == nil {
				err = other.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "locked\n" {
				t.Fatalf("the other process says %q, %v", line, err)
			}
			short, cancel := context.WithTimeout(t.Context(), 3*lockPoll)
			defer cancel()
			if _, _, err := d.Lock(short, "a"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a lock that another process has: %v", err)
			}
			_, unlock, err := d.Lock(t.Context(), "b")
			if err != nil {
				t.Fatal(err)
			}
			unlock()
			if end == "death" {
				err = other.Process.Kill()
			} else {
				err = hold.Close()
			}
			if err != nil {
				t.Fatal(err)
			}
			waiting, cancel := context.WithTimeout(t.Context(), patient)
			defer cancel()
			if _, unlock, err = d.Lock(waiting, "a"); err != nil {
				t.Fatalf("after the other's %s: %v", end, err)
			}
			unlock()
			if err := other.Wait(); (err == nil) != (end == "unlock") {
				t.Error(err)
			}
		})
	}
}

// TestLockOfService: root issues or renews for a service, whose user must be
// able to lock afterwards.
func TestLockOfService(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("skipping: only root can write for another user")
	}
	const service = 65534
	dir := filepath.Join(t.TempDir(), "certs")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, service, service)); err != nil {
		t.Fatal(err)
	}
	d, err := OpenDirectory(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, unlock, err := d.Lock(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	info, err := os.Stat(filepath.Join(dir, "a.lock"))
	if err != nil {
		t.Fatal(err)
	}
	if of, ok := info.Sys().(*syscall.Stat_t); !ok || of.Uid != service || of.Gid != service || info.Mode().Perm() != 0o600 {
		t.Errorf("the lock's file is %v of %d:%d, want it the service's own", info.Mode(), of.Uid, of.Gid)
	}
}
