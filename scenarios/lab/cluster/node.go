package cluster

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"

	"kasgen/scenarios/lab/cluster/pod"
)

const (
	// idle is how long an upgraded stream may be silent: the kubelet's limit.
	idle = 4 * time.Hour
	// creation is how long a client may take to open its streams once it has
	// upgraded. The kubelet allows 30 s; but the streaming code does not
	// notice a client that leaves in that time, and Close waits for it.
	creation = 5 * time.Second
)

// node serves the streams of the pod, as a container runtime does: each at an
// address that the API server is given, that nobody can guess, and that works
// once.
type node struct {
	log      *slog.Logger
	pod      *pod.Pod
	address  string
	upgraded atomic.Int64
	handlers sync.WaitGroup

	mu       sync.Mutex
	sessions map[string]session
}

// session is what a stream is for.
type session struct {
	kind    streamKind
	command []string
	streams remotecommand.Options
}

type streamKind string

const (
	execStream    streamKind = "exec"
	attachStream  streamKind = "attach"
	forwardStream streamKind = "portforward"
)

func newNode(log *slog.Logger, p *pod.Pod, address string) *node {
	return &node{log: log, pod: p, address: address, sessions: map[string]session{}}
}

// open makes an address for one stream. The caller must call forget.
func (n *node) open(s session) (location *url.URL, forget func()) {
	token := rand.Text()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sessions[token] = s
	return &url.URL{Scheme: "http", Host: n.address, Path: "/" + string(s.kind) + "/" + token},
		func() { n.take(token) }
}

func (n *node) take(token string) (session, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	s, ok := n.sessions[token]
	delete(n.sessions, token)
	return s, ok
}

func (n *node) wait() { n.handlers.Wait() }

func (n *node) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s, ok := n.take(r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:])
	if !ok {
		http.NotFound(w, r)
		return
	}
	n.serve(w, r, s)
}

// serve carries one stream.
func (n *node) serve(w http.ResponseWriter, r *http.Request, s session) {
	n.handlers.Add(1)
	defer n.handlers.Done()
	u, r := newUpgradable(w, r, &n.upgraded, func(int, http.Header) {})
	defer u.end()
	switch run := (podStreams{n.pod, r.Context()}); s.kind {
	case execStream:
		remotecommand.ServeExec(u, r, run, Pod, "", Container, s.command, &s.streams,
			idle, creation, remotecommand.SupportedStreamingProtocols)
	case attachStream:
		remotecommand.ServeAttach(u, r, run, Pod, "", Container, &s.streams,
			idle, creation, remotecommand.SupportedStreamingProtocols)
	case forwardStream:
		portforward.ServePortForward(u, r, run, Pod, "", &portforward.V4Options{},
			idle, creation, portforward.SupportedProtocols)
	}
}

// podStreams lets the streaming code reach the pod for one connection. It holds
// the connection's context because the streaming code forwards ports under
// context.Background: a connection that is gone would not end them.
type podStreams struct {
	pod *pod.Pod
	ctx context.Context
}

func (r podStreams) ExecInContainer(_ context.Context, _, _, _ string, command []string, in io.Reader, out, stderr io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize, _ time.Duration) error {
	return r.pod.Exec(r.ctx, command, in, out, stderr, tty, resize)
}

func (r podStreams) AttachContainer(_ context.Context, _, _, _ string, in io.Reader, out, _ io.WriteCloser, _ bool, _ <-chan remotecommand.TerminalSize) error {
	return r.pod.Attach(r.ctx, in, out)
}

func (r podStreams) PortForward(_ context.Context, _, _ string, port int32, stream io.ReadWriteCloser) error {
	return r.pod.PortForward(r.ctx, port, stream)
}
