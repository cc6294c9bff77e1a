package runtime

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"kasgen/internal/cli"
)

// asCommand makes the test binary `kasgen run` with its arguments.
const asCommand = "KASGEN_TEST_RUN"

// command is kasgen, as far as this room is it.
func command() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	streams := cli.IO{Out: os.Stdout, Err: os.Stderr}
	return cli.Run(ctx, cli.Root(streams, Commands(streams)...), os.Args[1:])
}

// service is `kasgen run` in a process of its own, as systemd starts it.
type service struct {
	t      *testing.T
	cmd    *exec.Cmd
	notify *net.UnixConn
	errs   bytes.Buffer
	ended  chan error
}

func startService(t *testing.T, dir, state string, sockets ...*os.File) *service {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { notify.Close() })
	s := &service{t: t, notify: notify, ended: make(chan error, 1)}
	// LISTEN_PID is the process's own, which only a shell can know before.
	s.cmd = exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, os.Args[0], "run", dir, "--state", state)
	s.cmd.Env = append(os.Environ(), asCommand+"=1", "NOTIFY_SOCKET="+path, "LISTEN_FDNAMES=front",
		fmt.Sprintf("LISTEN_FDS=%d", len(sockets)))
	s.cmd.ExtraFiles, s.cmd.Stderr = sockets, &s.errs
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.ended <- s.cmd.Wait(); close(s.ended) }()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill() // it has ended, if the test is well
		<-s.ended
		if t.Failed() {
			t.Log(s.errs.String())
		}
	})
	return s
}

// told waits for a datagram and returns its first line.
func (s *service) told() string {
	s.t.Helper()
	if err := s.notify.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		s.t.Fatal(err)
	}
	b := make([]byte, 4096)
	n, err := s.notify.Read(b)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(b[:n])
}

func (s *service) signal(sig os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// bound is an open socket as systemd hands it over, and its address.
func bound(t *testing.T) (*os.File, string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f, ln.Addr().String()
}

// frontOnly is a bundle with nothing but a balancer.
func frontOnly(t *testing.T, bind, server string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"kasgen.lock.yaml": files["kasgen.lock.yaml"],
		"haproxy/haproxy.cfg": "global\n    hard-stop-after 1s\ndefaults\n    mode tcp\n    timeout connect 5s\n    timeout client 1h\n    timeout server 1h\n" +
			"listen bare\n    bind " + bind + "\n    server s " + server + "\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestService is the life of a service: sockets from systemd, ready, reloaded
// with and without success, stopped.
func TestService(t *testing.T) {
	t.Parallel()
	w := &world{t: t, moved: map[string]string{}}
	w.elsewhere("one", "one")
	w.elsewhere("two", "two")
	f, bind := bound(t)
	dir := frontOnly(t, bind, w.at("one"))
	config := filepath.Join(dir, "haproxy/haproxy.cfg")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	s := startService(t, dir, t.TempDir(), f)
	expect := func(prefix string) {
		t.Helper()
		if got := s.told(); !strings.HasPrefix(got, prefix) {
			t.Fatalf("systemd was told %q, not %q", got, prefix)
		}
	}
	rewrite := func(text string) {
		t.Helper()
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s.signal(syscall.SIGHUP)
		expect("RELOADING=1\nMONOTONIC_USEC=")
	}
	expect("READY=1\nSTATUS=serving ")
	stream := w.bare(bind, "one")
	rewrite(strings.ReplaceAll(string(text), w.at("one"), w.at("two")))
	expect("READY=1\nSTATUS=serving " + dir + ", generation 2")
	stream.say("through a reload")
	w.bare(bind, "two")
	rewrite("nonsense\n")
	expect("READY=1\nSTATUS=serving; the last reload failed: " + config + ":1:1: error: KAS2")
	stream.say("through a reload that failed")
	w.bare(bind, "two")
	s.signal(syscall.SIGTERM)
	expect("STOPPING=1")
	if err := <-s.ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
}

func TestServiceRefusesSockets(t *testing.T) {
	t.Parallel()
	f, bind := bound(t)
	unheld, other := bound(t)
	unheld.Close()
	s := startService(t, frontOnly(t, other, "127.0.0.1:1"), t.TempDir(), f)
	if err := <-s.ended; err == nil {
		t.Error("a socket that no file names was taken")
	}
	if want := "that no file of "; !strings.Contains(s.errs.String(), want) || !strings.Contains(s.errs.String(), bind+" (front)") {
		t.Errorf("it does not say why: %s", s.errs.String())
	}
}
