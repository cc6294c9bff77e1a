package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/remotecommand"

	"kasgen/scenarios/lab/cluster/pod"
)

// Kubelet is the node of a real API server: it serves the streams and the log
// of the one pod under a kubelet's addresses, and does nothing else of what a
// kubelet does. Which pods there are is for whoever starts it to tell the API
// server.
type Kubelet struct {
	node   *node
	pod    *pod.Pod
	ln     *lingering
	server *http.Server
	cancel context.CancelFunc
	serve  sync.WaitGroup
}

// StartKubelet listens on a free port of loopback. t must ask for the API
// server's certificate: whoever connects may run commands. dir is where the
// pod's scratch directory is made.
func StartKubelet(ctx context.Context, t *tls.Config, dir string, log *slog.Logger) (*Kubelet, error) {
	if t.ClientAuth != tls.RequireAndVerifyClientCert {
		return nil, errors.New("a kubelet must verify who connects")
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p, err := pod.Start(pod.Options{Name: Pod, Dir: dir, Tick: tick, Log: log})
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	k := &Kubelet{node: newNode(log, p, ln.Addr().String()), pod: p, ln: newLingering(ln), cancel: cancel}
	mux := http.NewServeMux()
	mux.HandleFunc("/exec/{namespace}/{pod}/{container}", k.stream(execStream))
	mux.HandleFunc("/attach/{namespace}/{pod}/{container}", k.stream(attachStream))
	mux.HandleFunc("/portForward/{namespace}/{pod}", k.stream(forwardStream))
	mux.HandleFunc("/containerLogs/{namespace}/{pod}/{container}", func(w http.ResponseWriter, r *http.Request) { sendLog(p, w, r) })
	logging := withLogger(ctx, log)
	t = t.Clone()
	t.NextProtos = []string{"http/1.1"}
	k.server = &http.Server{Handler: mux, TLSConfig: t, BaseContext: func(net.Listener) context.Context { return logging },
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug), ReadHeaderTimeout: 10 * time.Second}
	k.serve.Go(func() {
		if err := k.server.ServeTLS(k.ln, "", ""); !errors.Is(err, http.ErrServerClosed) {
			log.Error("the node has stopped", "error", err)
		}
	})
	return k, nil
}

// stream reads what a stream is for as the kubelet does.
func (k *Kubelet) stream(kind streamKind) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		k.node.serve(w, r, session{kind: kind, command: q["command"], streams: remotecommand.Options{
			Stdin: on(q, "input"), Stdout: on(q, "output"), Stderr: on(q, "error") && !on(q, "tty"), TTY: on(q, "tty"),
		}})
	}
}

func on(q url.Values, name string) bool {
	v := strings.ToLower(q.Get(name))
	return v == "1" || v == "true"
}

// Port is where it listens.
func (k *Kubelet) Port() int {
	if a, ok := k.ln.Addr().(*net.TCPAddr); ok {
		return a.Port
	}
	return 0
}

// Close ends every stream and process and removes the scratch directory.
func (k *Kubelet) Close() error {
	k.cancel()
	err := k.server.Close()
	k.serve.Wait()
	err = errors.Join(err, k.pod.Close())
	k.node.wait()
	k.ln.end()
	return err
}
