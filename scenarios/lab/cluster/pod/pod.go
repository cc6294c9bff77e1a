// Package pod is a pod without a node: containers whose commands are ordinary
// processes of the user who runs the lab, in a scratch directory, and a port
// that echoes. It speaks the streaming interfaces of a container runtime and
// knows nothing of HTTP or of Kubernetes objects.
//
// It isolates nothing: a command may do whatever the user may. Its law: a
// process lives no longer than the stream that started it, and Close leaves
// neither process nor file.
package pod

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Container is the only container; EchoPort the only port that anything in
// the pod listens on.
const (
	Container = "main"
	EchoPort  = 8080
)

// ErrClosed is returned to streams that outlive the pod.
var ErrClosed = errors.New("the pod has been stopped")

// Options say where the pod lives.
type Options struct {
	Name string        // the pod's host name
	Dir  string        // an existing directory: the scratch directory is made in it
	Tick time.Duration // between two lines of the main process
	Log  *slog.Logger
}

// Pod is running between Start and Close.
type Pod struct {
	name    string
	scratch string
	mark    string // an environment variable by which Close knows its processes
	log     *slog.Logger
	output  *Log
	echo    net.Listener

	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex // guards closed, and work.Add against work.Wait
	closed  bool
	work    sync.WaitGroup
	running int // commands of exec
}

// Start makes the scratch directory and starts the main process and the echo
// server.
func Start(o Options) (*Pod, error) {
	scratch, err := os.MkdirTemp(o.Dir, "pod-")
	if err != nil {
		return nil, fmt.Errorf("making the pod's directory: %w", err)
	}
	if err := os.Mkdir(filepath.Join(scratch, "tmp"), 0o700); err != nil {
		return nil, errors.Join(err, os.RemoveAll(scratch))
	}
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listening for the pod's port %d: %w", EchoPort, err), os.RemoveAll(scratch))
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &Pod{
		name: o.Name, scratch: scratch, log: o.Log,
		mark:   "KASGEN_LAB_POD=" + rand.Text(),
		output: newLog(), echo: echo,
		ctx: ctx, cancel: cancel,
	}
	p.work.Go(func() { p.main(o.Tick) })
	p.work.Go(p.serveEcho)
	return p, nil
}

// Log is what the main process printed.
func (p *Pod) Log() *Log { return p.output }

// Running counts the commands that exec started and that have not ended.
func (p *Pod) Running() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.running
}

// Close ends every process and stream and removes the scratch directory.
func (p *Pod) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cancel()
	errEcho := p.echo.Close()
	p.work.Wait()
	p.output.close()
	killMarked(p.mark)
	return errors.Join(errEcho, removeAll(p.scratch))
}

// enter binds ctx to the pod's life. The caller must call leave.
func (p *Pod) enter(ctx context.Context, commands int) (inner context.Context, leave func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, nil, ErrClosed
	}
	p.work.Add(1)
	p.running += commands
	inner, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(p.ctx, cancel)
	return inner, func() {
		stop()
		cancel()
		p.mu.Lock()
		p.running -= commands
		p.mu.Unlock()
		p.work.Done()
	}, nil
}

// main is the main process: a line each tick, forever.
func (p *Pod) main(every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for n := 1; ; n++ {
		p.output.append(fmt.Sprintf("tick %d", n))
		select {
		case <-p.ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// drain reads what nobody wants any more, so that a stream's flow control
// does not hold up the other streams of its connection.
func drain(r io.Reader) { _, _ = io.Copy(io.Discard, r) }
