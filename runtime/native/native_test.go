package native_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"kasgen/internal/judge"
	"kasgen/runtime/native"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// free is an address that nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// echo sends back what it is sent.
func echo(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	t.Cleanup(func() { ln.Close(); work.Wait() })
	work.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			work.Go(func() { defer c.Close(); _, _ = io.Copy(c, c) })
		}
	})
	return ln.Addr().String()
}

func files(t *testing.T, bind, backend string) map[native.Kind]string {
	dir := t.TempDir()
	module := ""
	if exists("/usr/lib/nginx/modules/ngx_stream_module.so") {
		module = "load_module modules/ngx_stream_module.so;\n" // as it is rendered
	}
	texts := map[native.Kind]string{
		native.Nginx: fmt.Sprintf(`%sworker_processes 1;
pid %s/nginx.pid;
error_log stderr notice;
worker_shutdown_timeout 20s;
events {}
stream { server { listen %s; proxy_pass %s; } }
`, module, dir, bind, backend),
		native.HAProxy: fmt.Sprintf(`global
    hard-stop-after 20s
defaults
    mode tcp
    timeout connect 5s
    timeout client 1m
    timeout server 1m
frontend f
    bind %s
    default_backend b
backend b
    server s %s
`, bind, backend),
	}
	paths := map[native.Kind]string{}
	for kind, text := range texts {
		paths[kind] = filepath.Join(dir, string(kind)+".conf")
		if err := os.WriteFile(paths[kind], []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return paths
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

func talk(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(text))
	_, err := io.WriteString(c, text)
	if err == nil {
		_, err = io.ReadFull(c, got)
	}
	if err != nil || string(got) != text {
		t.Fatalf("sent %q, got %q, %v", text, got, err)
	}
}

// TestProcess has a connection open through a reload and while the program
// drains.
func TestProcess(t *testing.T) {
	t.Parallel()
	for _, kind := range []native.Kind{native.Nginx, native.HAProxy} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			judge.Find(t, string(kind))
			bind, backend := free(t), echo(t)
			config := native.Config{Kind: kind, Path: files(t, bind, backend)[kind], Binds: []string{bind}, Stream: kind == native.Nginx}
			p, err := native.Find(config, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			x, err := p.Start(t.Context(), slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			c, err := net.Dial("tcp", bind)
			if err != nil {
				t.Fatal(err)
			}
			talk(t, c, "before")
			if err := x.Reload(t.Context()); err != nil {
				t.Error(err)
			}
			talk(t, c, "after a reload")
			drained := make(chan error, 1)
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
				defer cancel()
				drained <- x.Drain(ctx)
			}()
			talk(t, c, "while draining")
			c.Close()
			if err := <-drained; err != nil {
				t.Error(err)
			}
			if c, err := net.Dial("tcp", bind); err == nil {
				c.Close()
				t.Error("somebody still listens")
			}
		})
	}
}

// TestKilled: whoever is killed is told of, and its workers do not go on.
func TestKilled(t *testing.T) {
	t.Parallel()
	for _, kind := range []native.Kind{native.Nginx, native.HAProxy} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			judge.Find(t, string(kind))
			bind, backend := free(t), echo(t)
			path := files(t, bind, backend)[kind]
			p, err := native.Find(native.Config{Kind: kind, Path: path, Binds: []string{bind}, Stream: kind == native.Nginx}, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			x, err := p.Start(t.Context(), slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			if err := x.Err(); err != nil {
				t.Error(err)
			}
			c, err := net.Dial("tcp", bind)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			talk(t, c, "before")
			if err := syscall.Kill(x.PID(), syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			<-x.Exited()
			if err := x.Err(); err == nil || !strings.Contains(err.Error(), string(kind)+" with "+path+" has ended by itself: signal: killed") {
				t.Error(err)
			}
			if _, err := io.ReadAll(c); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("a worker goes on")
			}
			if c, err := net.Dial("tcp", bind); err == nil {
				c.Close()
				t.Error("somebody still listens")
			}
		})
	}
}

func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	for _, kind := range []native.Kind{native.Nginx, native.HAProxy} {
		judge.Find(t, string(kind))
		path := files(t, free(t), "127.0.0.1:9")[kind]
		config := native.Config{Kind: kind, Path: path}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, bytes.ReplaceAll(data, []byte("timeout connect"), []byte("timeout conect")), 0o644); err != nil {
			t.Fatal(err)
		}
		if kind == native.Nginx {
			if err := os.WriteFile(path, bytes.ReplaceAll(data, []byte("proxy_pass"), []byte("proxy_pas")), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		p, err := native.Find(config, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Check(t.Context()); err == nil || !strings.Contains(err.Error(), string(kind)+" refuses "+path) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestMissing(t *testing.T) {
	t.Parallel()
	_, err := native.Find(native.Config{Kind: "no-such-program", Path: "x.cfg"}, t.TempDir())
	if !errors.Is(err, native.ErrMissing) || !strings.Contains(err.Error(), "install the Debian package no-such-program") {
		t.Error(err)
	}
}

// TestPortTaken ends with what the program says, and leaves nothing behind.
func TestPortTaken(t *testing.T) {
	t.Parallel()
	taken := echo(t)
	for _, kind := range []native.Kind{native.Nginx, native.HAProxy} {
		judge.Find(t, string(kind))
		config := native.Config{Kind: kind, Path: files(t, taken, "127.0.0.1:9")[kind], Binds: []string{free(t)}} // on which nobody will listen
		p, err := native.Find(config, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if x, err := p.Start(t.Context(), slog.New(slog.DiscardHandler)); err == nil {
			x.Kill()
			t.Errorf("%s starts on a port that is taken", kind)
		} else if !strings.Contains(err.Error(), "has ended by itself") {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// TestMissingModule names the package of a module that nginx cannot load.
func TestMissingModule(t *testing.T) {
	t.Parallel()
	judge.Find(t, "nginx")
	path := filepath.Join(t.TempDir(), "stream.conf")
	for text, want := range map[string]string{
		"load_module modules/no_such_module.so;\nevents {}\n": "no_such_module.so",
		"events {}\nstream {}\n":                              `unknown directive "stream"`,
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		p, err := native.Find(native.Config{Kind: native.Nginx, Path: path, Stream: true}, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Check(t.Context()); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "install the Debian package libnginx-mod-stream") {
			t.Errorf("%s%v", text, err)
		}
	}
}

// TestForeground: a file that says itself that nginx is no daemon is taken.
func TestForeground(t *testing.T) {
	t.Parallel()
	judge.Find(t, "nginx")
	bind := free(t)
	path := files(t, bind, echo(t))[native.Nginx]
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(data, "daemon off;\n"...), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := native.Find(native.Config{Kind: native.Nginx, Path: path, Binds: []string{bind}, Stream: true}, t.TempDir())
	if err == nil {
		err = p.Check(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	x, err := p.Start(t.Context(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	x.Kill()
}
