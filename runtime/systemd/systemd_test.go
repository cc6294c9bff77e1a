package systemd

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestNotifier(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	n := NewNotifier(func(name string) string { return map[string]string{"NOTIFY_SOCKET": path}[name] })
	var got []string
	for _, say := range []func() error{
		func() error { return n.Ready(t.Context(), "serving\nREADY=0") },
		func() error { return n.Reloading(t.Context()) },
		func() error { return n.Stopping(t.Context()) },
	} {
		if err := say(); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 1024)
		size, err := c.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, regexp.MustCompile(`USEC=[1-9]\d+$`).ReplaceAllString(string(b[:size]), "USEC=N"))
	}
	want := []string{"READY=1\nSTATUS=serving; READY=0", "RELOADING=1\nMONOTONIC_USEC=N", "STOPPING=1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestNotifierWithoutSystemd(t *testing.T) {
	t.Parallel()
	var n Notifier
	if err := n.Ready(t.Context(), "x"); err != nil {
		t.Error(err)
	}
	n = NewNotifier(func(string) string { return filepath.Join(t.TempDir(), "none") })
	if err := n.Ready(t.Context(), "x"); err == nil || !strings.HasPrefix(err.Error(), "telling systemd: ") {
		t.Errorf("a socket that is not there: %v", err)
	}
}

func TestServes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		at, network, address string
		want                 bool
	}{
		{"0.0.0.0:443", "tcp", "0.0.0.0:443", true},
		{"0.0.0.0:443", "tcp4", "0.0.0.0:443", true},
		{"0.0.0.0:443", "tcp", ":443", true},
		{"[::]:443", "tcp", "0.0.0.0:443", true}, // what Go opens for it
		{"[::]:443", "tcp4", "0.0.0.0:443", false},
		{"[::]:443", "tcp6", "[::]:443", true},
		{"0.0.0.0:443", "tcp6", "[::]:443", false},
		{"0.0.0.0:443", "tcp", "0.0.0.0:80", false},
		{"127.0.0.1:443", "tcp", "0.0.0.0:443", false},
		{"0.0.0.0:443", "tcp", "127.0.0.1:443", false},
		{"127.0.0.1:443", "tcp4", "127.0.0.1:443", true},
		{"[::1]:443", "tcp", "[::1]:443", true},
		{"[::1]:443", "unix", "[::1]:443", false},
	} {
		at, err := net.ResolveTCPAddr("tcp", tt.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := serves(at, tt.network, tt.address); got != tt.want {
			t.Errorf("%s for %s %s: %v", tt.at, tt.network, tt.address, got)
		}
	}
	if !serves(&net.UnixAddr{Name: "/run/x"}, "unix", "/run/x") || serves(&net.UnixAddr{Name: "/run/x"}, "unix", "/run/y") {
		t.Error("unix sockets are known by their path")
	}
}

func TestSockets(t *testing.T) {
	t.Parallel()
	file := func(network, address string) (*os.File, string) {
		ln, err := net.Listen(network, address)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		f, err := ln.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		return f, ln.Addr().String()
	}
	f, address := file("tcp", "127.0.0.1:0")
	g, left := file("tcp", "127.0.0.1:0")
	s, err := FromFiles([]*os.File{f, g})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	listen := s.Listen(func(context.Context, string, string) (net.Listener, error) { return nil, os.ErrPermission })
	for range 2 { // the second time as after a reload
		ln, err := listen(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := ln.(*net.TCPListener); !ok || ln.Addr().String() != address {
			t.Errorf("got %T on %s", ln, ln.Addr())
		}
		ln.Close()
	}
	if _, err := listen(t.Context(), "tcp", "127.0.0.1:1"); !errors.Is(err, os.ErrPermission) {
		t.Errorf("an address that was not handed over: %v", err)
	}
	if unused := s.Unused(); len(unused) != 1 || !strings.HasPrefix(unused[0], left+" (") {
		t.Errorf("unused: %q", unused)
	}
}

func TestFromFilesRefuses(t *testing.T) {
	t.Parallel()
	f, err := os.Create(filepath.Join(t.TempDir(), "regular"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := FromFiles([]*os.File{f}); err == nil || !strings.Contains(err.Error(), "descriptor 3 (") {
		t.Errorf("a regular file: %v", err)
	}
}

func TestInherit(t *testing.T) { //nolint:paralleltest // the environment is the process's
	for _, tt := range []struct{ pid, fds, fault string }{
		{"", "", ""},
		{"1", "1", ""}, // somebody else's
		{"self", "0", ""},
		{"self", "x", "LISTEN_FDS=x is not a number"},
		{"self", "-1", "LISTEN_FDS=-1 is not a number"},
	} {
		if tt.pid == "self" {
			tt.pid = strconv.Itoa(os.Getpid())
		}
		t.Setenv("LISTEN_PID", tt.pid)
		t.Setenv("LISTEN_FDS", tt.fds)
		s, err := Inherit()
		if tt.fault == "" && (err != nil || len(s.Unused()) > 0) || tt.fault != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.fault)) {
			t.Errorf("%+v: %v", tt, err)
		}
		if _, left := os.LookupEnv("LISTEN_FDS"); left {
			t.Error("LISTEN_FDS is left for others")
		}
	}
}
