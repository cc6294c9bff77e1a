package native

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// Process is a running program.
type Process struct {
	program *Program
	log     *slog.Logger
	cmd     *exec.Cmd
	exited  chan struct{} // closed after err is set
	err     error
	printed chan struct{} // closed when its output has ended
	last    string        // line of it; to be read after that
	ending  atomic.Bool   // it was told to end
}

// listening is how long a program may take to open its listeners.
const listening = 10 * time.Second

// Start starts the program and returns when it listens on every address of
// its file. What it prints goes to log, line by line.
func (p *Program) Start(ctx context.Context, log *slog.Logger) (*Process, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.Kind, err)
	}
	x := &Process{program: p, log: log.With("program", string(p.Kind)), exited: make(chan struct{}), printed: make(chan struct{})}
	x.cmd = exec.Command(p.binary, p.arguments()...)
	x.cmd.Dir, x.cmd.Stdout, x.cmd.Stderr = p.dir, w, w
	// Not of our process group, or Ctrl-C would end it before it drained; and
	// gone with us, however we go.
	x.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	started := make(chan error)
	go func() {
		// The kernel sends Pdeathsig when the thread that started the process
		// ends, so that thread must live as long.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := x.cmd.Start()
		_ = w.Close() // the program has its own
		started <- err
		if err != nil {
			return
		}
		x.err = x.cmd.Wait()
		// Workers go on without a master that was killed, with nobody to reload
		// or to end them.
		_ = syscall.Kill(-x.cmd.Process.Pid, syscall.SIGKILL)
		close(x.exited)
	}()
	if err := <-started; err != nil {
		_ = r.Close()
		return nil, fmt.Errorf("starting %s: %w", p.Kind, err)
	}
	go x.pass(r)
	ctx, cancel := context.WithTimeout(ctx, listening)
	defer cancel()
	for _, bind := range p.Binds {
		if err := x.wait(ctx, bind); err != nil {
			x.Kill()
			return nil, err
		}
	}
	return x, nil
}

// pass logs what the program prints, at the level that the program gives to it;
// of its own end, which was asked for, it only informs.
func (x *Process) pass(r io.ReadCloser) {
	defer close(x.printed)
	defer r.Close()
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadString('\n')
		if strings.TrimSpace(line) != "" {
			x.last = strings.TrimSpace(line)
			level := severity(x.last)
			if x.ending.Load() {
				level = min(level, slog.LevelInfo) // HAProxy warns that it ends
			}
			x.log.Log(context.Background(), level, x.last)
		}
		if err != nil {
			return
		}
	}
}

// wait returns when somebody listens on bind.
func (x *Process) wait(ctx context.Context, bind string) error {
	address := Reach(bind)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var d net.Dialer
	for {
		if c, err := d.DialContext(ctx, "tcp", address); err == nil {
			return c.Close()
		}
		select {
		case <-x.exited:
			return fmt.Errorf("%w, at once", x.Err())
		case <-ctx.Done():
			return fmt.Errorf("%s does not listen on %s: %w", x.program.Kind, bind, ctx.Err())
		case <-tick.C:
		}
	}
}

// Reach is the address by which this machine reaches its own listener.
func Reach(bind string) string {
	host, port, err := net.SplitHostPort(bind)
	if err != nil {
		return bind
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "", host == "*", err == nil && ip.IsUnspecified() && ip.Is4():
		host = "127.0.0.1"
	case err == nil && ip.IsUnspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}

// PID is of the program's first process.
func (x *Process) PID() int { return x.cmd.Process.Pid }

// Exited is closed when the program has ended.
func (x *Process) Exited() <-chan struct{} { return x.exited }

// Err says how the program ended that nobody told to, and what it printed last;
// nil until it has.
func (x *Process) Err() error {
	select {
	case <-x.exited:
	default:
		return nil
	}
	<-x.printed
	end := "exit status 0"
	if x.err != nil {
		end = x.err.Error()
	}
	if x.last != "" {
		end += ", after " + strconv.Quote(x.last)
	}
	return fmt.Errorf("%s with %s has ended by itself: %s", x.program.Kind, x.program.Path, end)
}

// Reload has the program read its file again; streams live on.
func (x *Process) Reload(ctx context.Context) error {
	if err := x.program.Check(ctx); err != nil {
		return err // the program would say so too, and go on, but not to us
	}
	reload, _ := x.program.Kind.signals()
	return x.cmd.Process.Signal(reload)
}

// Drain tells the program to take nothing new and to end with its last
// stream, or when ctx is done.
func (x *Process) Drain(ctx context.Context) error {
	x.ending.Store(true)
	_, drain := x.program.Kind.signals()
	// A HAProxy that is still reloading loses signals, so it is told again.
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for ended := false; !ended; {
		if err := x.cmd.Process.Signal(drain); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
		select {
		case <-x.exited:
			ended = true
		case <-ctx.Done():
			x.Kill()
			ended = true
		case <-again.C:
		}
	}
	<-x.printed
	var exit *exec.ExitError
	if errors.As(x.err, &exit) {
		// HAProxy's master says that way by which signal its worker ended.
		x.log.Debug("ended", "status", exit.String())
		return nil
	}
	return x.err
}

// Kill ends the program and its workers at once.
func (x *Process) Kill() {
	_ = syscall.Kill(-x.cmd.Process.Pid, syscall.SIGKILL) // the whole group; it may be gone
	<-x.exited
}
