package scenarios

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"kasgen/generator/spec"
	"kasgen/internal/cli"
	"kasgen/internal/judge"
	kasgenruntime "kasgen/runtime"
	"kasgen/scenarios/lab"
	"kasgen/scenarios/loopback"
	"kasgen/scenarios/operation"
)

// TestNativeRefuses: the real programs do what the files say, so nothing can be
// moved.
func TestNativeRefuses(t *testing.T) {
	t.Parallel()
	dir := rendered(t)
	for _, tt := range []struct{ flag, want string }{
		{"--remap=443=8443", "--remap goes with --front embedded alone"},
		{"--state=elsewhere", "--state goes with --front embedded alone"},
		{"--front=else", "it is embedded or native"},
	} {
		var out, errs bytes.Buffer
		streams := cli.IO{Out: &out, Err: &errs}
		code := cli.Run(t.Context(), cli.Root(streams, kasgenruntime.Commands(streams)...), []string{"run", dir, "--front=native", tt.flag})
		if code != cli.Misuse || !strings.Contains(errs.String(), tt.want) {
			t.Errorf("%s: exit code %d\n%s", tt.flag, code, errs.String())
		}
	}
}

// nativeBundle is one that the real programs can run, on ports and paths of its
// own.
func nativeBundle(t *testing.T, text string, overrides ...spec.Override) string {
	t.Helper()
	judge.Find(t, "nginx")
	judge.Find(t, "haproxy")
	var ports loopback.Ports
	t.Cleanup(func() {
		if err := ports.Close(); err != nil {
			t.Error(err)
		}
	})
	text += "nginx: {streamModule: /usr/lib/nginx/modules/ngx_stream_module.so}\n"
	return changedBundleOf(t, text, ports.Move, append(overrides, loopback.Below(t.TempDir())...)...)
}

// natives are the programs and files of a front, each with a change that it has
// to read again.
var natives = map[string]struct{ text, file, old, new string }{
	"A by HAProxy": {"topology: A\n", "haproxy/haproxy.cfg", "timeout client 2h", "timeout client 1h"},
	"A by nginx":   {"topology: A\nloadBalancer: {kind: nginx-stream}\n", "nginx/stream.conf", "proxy_timeout 2h", "proxy_timeout 1h"},
	"D by nginx":   {"topology: D\n", "nginx/nginx.conf", "proxy_read_timeout 2h", "proxy_read_timeout 1h"},
}

// TestNativeReload changes the file of a real program while a command runs
// through each agent.
func TestNativeReload(t *testing.T) {
	t.Parallel()
	for name, n := range natives {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := nativeBundle(t, n.text+"tls: {source: developmentCA}\n")
			l := startWith(t, lab.Options{Bundle: dir, Native: true, Limit: 20 * time.Second})
			var sessions []*session
			for _, a := range l.Agents {
				s := openExec(t, l, a, "echo one; while read x; do echo $x; done")
				s.expect(t, "one")
				sessions = append(sessions, s)
			}
			for range 2 {
				edit(t, dir, n.file, n.old, n.new)
				if err := l.Reload(t.Context(), dir); err != nil {
					t.Fatal(err)
				}
				n.old, n.new = n.new, n.old
				for i, a := range l.Agents {
					sessions[i].say(t, "after a reload")
					for _, name := range []string{"get", "watch"} {
						if err := oneBy(t, l, a, name, operation.Plain); err != nil {
							t.Errorf("%s by the %s agent: %v", name, a.Name, err)
						}
					}
				}
			}
		})
	}
}

// TestNativeDrain ends a bundle while two commands run: the one that ends in time
// comes through to its end, the other one is cut.
func TestNativeDrain(t *testing.T) {
	t.Parallel()
	for name, n := range natives {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, stop := context.WithCancel(context.Background())
			defer stop()
			dir := nativeBundle(t, n.text+"tls: {source: developmentCA}\n", spec.Override{Field: "timeouts.drain", Text: "6s", Source: "the test"})
			l, err := lab.Start(ctx, lab.Options{Bundle: dir, Native: true, Version: "test", Tell: func(string, string) {}, Limit: 20 * time.Second, Log: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			ends := openExec(t, l, l.Agents[0], "echo one; read x; echo $x; sleep 1; echo two")
			stays := openExec(t, l, l.Agents[1], "echo one; sleep 50")
			ends.expect(t, "one")
			stays.expect(t, "one")
			stop() // as SIGTERM does
			closed := make(chan error, 1)
			go func() { closed <- l.Close() }()
			ends.say(t, "while draining")
			ends.expect(t, "two")
			if err := <-ends.ended; err != nil {
				t.Errorf("the end of a command: %v", err)
			}
			if err := <-stays.ended; err == nil {
				t.Error("a command that goes on was not cut")
			}
			select {
			case err := <-closed:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(30 * time.Second):
				t.Error("the bundle still runs")
				<-closed
			}
		})
	}
}

// TestNativeDies kills a real program below `kasgen run`, which ends, says whose
// end it was and what was printed last, and leaves nobody behind.
func TestNativeDies(t *testing.T) {
	t.Parallel()
	for name, n := range natives {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := nativeBundle(t, n.text+"tls: {source: developmentCA}\n")
			errs := new(log)
			streams := cli.IO{Out: new(log), Err: errs}
			ctx, stop := context.WithTimeout(t.Context(), time.Minute)
			defer stop()
			code := make(chan int, 1)
			go func() {
				code <- cli.Run(ctx, cli.Root(streams, kasgenruntime.Commands(streams)...), []string{"run", dir, "--front=native"})
			}()
			file := filepath.Join(dir, n.file)
			var programs []int
			for len(programs) == 0 || !strings.Contains(errs.String(), "msg=listening file=") {
				select {
				case c := <-code:
					t.Fatalf("exit code %d\n%s", c, errs.String())
				case <-time.After(20 * time.Millisecond):
					programs = reading(t, file)
				}
			}
			if err := syscall.Kill(slices.Min(programs), syscall.SIGKILL); err != nil { // the first process of it
				t.Error(err)
				stop()
			}
			if c := <-code; c != cli.Failure || ctx.Err() != nil {
				t.Errorf("exit code %d, %v", c, ctx.Err())
			}
			program := filepath.Base(filepath.Dir(n.file))
			if want := program + " with " + file + " has ended by itself: signal: killed"; !strings.Contains(errs.String(), want) {
				t.Errorf("it does not say %q:\n%s", want, errs.String())
			}
			if left := reading(t, dir); len(left) > 0 {
				t.Errorf("processes %v go on", left)
			}
		})
	}
}

// reading are this process's children, and theirs, that were started with a path.
func reading(t *testing.T, path string) []int {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	var found []int
	for _, p := range paths {
		line, err := os.ReadFile(p) // it may have ended
		if err != nil || !bytes.Contains(line, []byte(path)) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(p)))
		if err != nil {
			t.Fatal(err)
		}
		if pid != os.Getpid() {
			found = append(found, pid)
		}
	}
	return found
}
