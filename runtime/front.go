package runtime

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"kasgen/runtime/certs"
	"kasgen/runtime/host"
	"kasgen/runtime/native"
)

// Programs is what runs the files of the front.
type Programs string

// The two: kasgen itself, or the real nginx and HAProxy.
const (
	Embedded Programs = "embedded"
	Native   Programs = "native"
)

// UseNative has the real programs run the front's files, each in a directory of
// its own below scratch. They read the files as they are, so that neither ports
// nor paths can be moved.
func (b *Bundle) UseNative(scratch string) { b.scratch = scratch }

// Native says whether the real programs have the front's files.
func (b *Bundle) Native() bool { return b.scratch != "" }

// nativeParts are the front's files for the real programs.
func (b *Bundle) nativeParts() []part {
	var parts []part
	add := func(name, file string, f front, kind native.Kind, stream bool) {
		parts = append(parts, part{name: name, data: b.data[file], files: f.Files(), front: true,
			make: func(ctx context.Context, h *host.Host, r *Running) (server, error) {
				c := native.Config{Kind: kind, Path: b.at.Path(file), Binds: f.Binds(), Stream: stream}
				if file == webFile {
					c.Binary = b.at.Nginx()
				}
				return newNativeFront(ctx, h, c, filepath.Join(b.scratch, filepath.Base(file)), r.role(name), b.nativeFiles(f))
			}})
	}
	if b.haproxy != nil {
		add("haproxy", haproxyFile, b.haproxy, native.HAProxy, false)
	}
	if b.stream != nil {
		add("nginx stream", streamFile, b.stream, native.Nginx, true)
	}
	if b.web != nil {
		add("nginx", webFile, b.web, native.Nginx, false)
	}
	return parts
}

// nativeFront is a program as a role. A successor shares its process, which
// reads the file again when the successor serves.
type nativeFront struct {
	process *native.Process
	again   bool // the process was there before
	addrs   map[string]net.Addr
	files   *watchedFiles
	drain   time.Duration

	mu      sync.Mutex
	next    *nativeFront // whose process it is from now on
	retired chan struct{}
	once    sync.Once
}

// nativeDrain is how long a program may take to end beyond the time that its
// own file gives streams.
const nativeDrain = time.Hour

// nativeFiles are what a program has read that may change under it, and how
// long a stop may take.
type nativeFiles struct {
	paths []string
	pairs []certs.Served
	drain time.Duration
}

func (b *Bundle) nativeFiles(f front) nativeFiles {
	n := nativeFiles{paths: f.Files(), pairs: f.Pairs(), drain: nativeDrain}
	if limit, known := b.drain(); known && len(n.pairs) > 0 {
		n.drain = limit // their own files have no limit then
	}
	return n
}

func newNativeFront(ctx context.Context, h *host.Host, c native.Config, dir string, before *role, files nativeFiles) (*nativeFront, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	program, err := native.Find(c, dir)
	if err != nil {
		return nil, err
	}
	if err := program.Check(ctx); err != nil {
		return nil, err
	}
	f := &nativeFront{addrs: map[string]net.Addr{}, files: watchFiles(h, files), drain: files.drain, retired: make(chan struct{})}
	for _, bind := range c.Binds {
		if f.addrs[bind], err = net.ResolveTCPAddr("tcp", native.Reach(bind)); err != nil {
			return nil, fmt.Errorf("%s: %w", bind, err)
		}
	}
	if before != nil {
		if old, ok := before.server.(*nativeFront); ok {
			f.process, f.again = old.process, true
			old.succeed(f)
			return f, nil
		}
	}
	f.process, err = program.Start(ctx, h.Log)
	return f, err
}

func (f *nativeFront) succeed(next *nativeFront) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next = next
}

func (f *nativeFront) succeeded() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.next != nil
}

// Serve implements server.
func (f *nativeFront) Serve(ctx context.Context) error {
	if f.again {
		// A stop meanwhile ends the check of the file, which says nothing of it.
		if err := f.process.Reload(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
	watching, stop := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { f.watch(watching) })
	defer watch.Wait()
	defer stop()
	select {
	case <-f.process.Exited():
		return f.process.Err()
	case <-f.retired:
		if f.succeeded() {
			return nil
		}
	case <-ctx.Done():
	}
	stop()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.drain)
	defer cancel()
	return f.process.Drain(ctx)
}

// Retire implements server.
func (f *nativeFront) Retire() { f.once.Do(func() { close(f.retired) }) }

// Close implements server.
func (f *nativeFront) Close() {
	if !f.again {
		f.process.Kill()
	}
}

// Addrs implements server.
func (f *nativeFront) Addrs() map[string]net.Addr { return f.addrs }
