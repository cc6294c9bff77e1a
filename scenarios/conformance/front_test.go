package conformance

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"kasgen/internal/nginxconf"
	"kasgen/runtime/haproxy"
	"kasgen/runtime/host"
	"kasgen/runtime/native"
	"kasgen/runtime/nginx"
)

// kind is a file format, by the name of the program that it is for.
type kind string

const (
	nginxKind   kind = "nginx"
	haproxyKind kind = "HAProxy"
)

func kinds() []kind { return []kind{nginxKind, haproxyKind} }

// file is what a configuration of the kind is called.
func (k kind) file() string {
	if k == nginxKind {
		return "nginx.conf"
	}
	return "haproxy.cfg"
}

func (k kind) program() native.Kind { return native.Kind(strings.ToLower(string(k))) }

func kindOf(file string) (kind, bool) {
	for _, k := range kinds() {
		if k.file() == file {
			return k, true
		}
	}
	return "", false
}

// front runs a file.
type front struct {
	kind     kind
	embedded bool
}

func (f front) String() string {
	if f.embedded {
		return "embedded " + string(f.kind)
	}
	return string(f.kind)
}

// running is a front with a file.
type running interface {
	// reload makes it read its file again, and returns when the new one
	// serves.
	reload(ctx context.Context) error
	stop() error
}

// start runs the file at path, which names binds to listen on.
func (f front) start(ctx context.Context, path string, binds []string, log *slog.Logger) (running, error) {
	if f.embedded {
		return startEmbedded(ctx, f.kind, path, log)
	}
	return startNative(ctx, f.kind, path, binds, log)
}

// role is a configuration that serves in this process.
type role interface {
	Serve(ctx context.Context) error
	Retire()
}

type embedded struct {
	kind    kind
	path    string
	sockets *host.Sockets
	host    *host.Host
	ctx     context.Context
	cancel  context.CancelFunc
	now     role
	work    sync.WaitGroup
	mu      sync.Mutex
	errs    []error
}

func startEmbedded(ctx context.Context, k kind, path string, log *slog.Logger) (running, error) {
	e := &embedded{kind: k, path: path, sockets: host.NewSockets()}
	e.host = e.sockets.Host(host.Machine(log), "")
	e.ctx, e.cancel = context.WithCancel(context.Background())
	if err := e.reload(ctx); err != nil {
		e.cancel()
		return nil, err
	}
	return e, nil
}

func (e *embedded) reload(ctx context.Context) error {
	r, err := e.load(ctx)
	if err != nil {
		e.sockets.Forget()
		return err
	}
	e.sockets.Commit()
	e.work.Go(func() {
		if err := r.Serve(e.ctx); err != nil {
			e.mu.Lock()
			defer e.mu.Unlock()
			e.errs = append(e.errs, err)
		}
	})
	if e.now != nil {
		e.now.Retire()
	}
	e.now = r
	return nil
}

func (e *embedded) load(ctx context.Context) (role, error) {
	data, err := os.ReadFile(e.path)
	if err != nil {
		return nil, err
	}
	if e.kind == haproxyKind {
		c, err := haproxy.Load(e.path, data)
		if err != nil {
			return nil, err
		}
		return c.New(e.ctx, e.host)
	}
	c, err := nginx.Load(e.path, data, nginxconf.Source{ReadFile: os.ReadFile, Glob: filepath.Glob})
	if err != nil {
		return nil, err
	}
	c.Bound(time.Second)
	return c.New(e.ctx, e.host)
}

func (e *embedded) stop() error {
	e.cancel()
	e.work.Wait()
	return errors.Join(e.errs...)
}

type process struct{ *native.Process }

// startLimit is how long a program may take to open its listeners.
const startLimit = 10 * time.Second

// listening waits until the kernel says that somebody listens on all of binds.
func listening(ctx context.Context, x *native.Process, binds []string) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		table, err := os.ReadFile("/proc/net/tcp")
		if err != nil {
			return err
		}
		missing := slices.ContainsFunc(binds, func(bind string) bool { return !strings.Contains(string(table), listenLine(bind)) })
		if !missing {
			return nil
		}
		select {
		case <-x.Exited():
			return fmt.Errorf("it ended at once: %w", x.Err())
		case <-ctx.Done():
			return fmt.Errorf("it does not listen on all of %v", binds)
		case <-tick.C:
		}
	}
}

// listenLine is how /proc/net/tcp begins the line of a listener of IPv4: the
// address as a number of this machine's byte order, and state 0A.
func listenLine(bind string) string {
	a := netip.MustParseAddrPort(bind)
	ip := a.Addr().As4()
	return fmt.Sprintf(": %08X:%04X 00000000:0000 0A", binary.NativeEndian.Uint32(ip[:]), a.Port())
}

func startNative(ctx context.Context, k kind, path string, binds []string, log *slog.Logger) (running, error) {
	// It is not asked by connections whether it listens: upstreams would see
	// them, and turns among them would begin with the second.
	c := native.Config{Kind: k.program(), Path: path, Stream: k == nginxKind}
	p, err := native.Find(c, filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	if err := p.Check(ctx); err != nil {
		return nil, err
	}
	x, err := p.Start(ctx, log)
	if err != nil {
		return nil, err
	}
	if err := listening(ctx, x, binds); err != nil {
		x.Kill()
		return nil, err
	}
	return &process{x}, nil
}

func (p *process) reload(ctx context.Context) error { return p.Reload(ctx) }

func (p *process) stop() error {
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // nothing to wait for
	return p.Drain(ctx)
}

// freeAddress is an address of loopback that nobody listens on now. Each has an
// IP address of its own: two fronts that got the same port would otherwise
// share it unnoticed, for HAProxy listens with SO_REUSEPORT. So does each process
// that runs these tests at the same time. All are equally long, as are the ports
// that the system chooses, so that a transcript's Content-Length does not depend
// on them.
func freeAddress(n int) (string, error) {
	ip := net.IPv4(127, byte(100+os.Getpid()%150), byte(100+n/150%150), byte(100+n%150))
	l, err := net.Listen("tcp", net.JoinHostPort(ip.String(), "0"))
	if err != nil {
		return "", fmt.Errorf("looking for a free address: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}
