// Package cluster is a stand-in for a Kubernetes cluster, on loopback: an API
// server with Kubernetes' own streaming code (k8s.io/apiserver's proxy in
// front, k8s.io/cri-streaming behind), and one pod whose commands are
// processes of the user who runs it. Its certificate authority and its bearer
// token are made at the start and thrown away at the end.
//
// It serves what kubectl and the demo's operations need. It has no RBAC, no
// admission and no scheduler: whoever has the token may do everything, and
// Impersonate headers are recorded and answered, not enforced. It knows
// nothing of kas. Its law: what is framed, negotiated and translated on an
// upgraded connection is Kubernetes' code and not an imitation.
package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"k8s.io/client-go/rest"

	"kasgen/scenarios/lab/cluster/pod"
)

// The pod that there is.
const (
	Namespace     = "default"
	Pod           = "demo"
	Container     = pod.Container
	ContainerPort = pod.EchoPort // echoes what it is sent
)

// tick is the time between two lines of the pod's log: short enough for a
// test to see several, long enough to be seen apart.
const tick = 200 * time.Millisecond

// Options of a cluster.
type Options struct {
	Log *slog.Logger
	// Dir is an existing directory in which the pod's scratch directory is
	// made; empty: the system's temporary directory.
	Dir string
	// OnRequest is told of each request once, when its answer's head is
	// known. It is called by several goroutines at once. May be nil.
	OnRequest func(Observed)
	// Older makes the API server one from before 1.30: it hands a WebSocket on
	// to the node, which does not know the subprotocols that kubectl asks for.
	Older bool
}

// Cluster runs from Start to Close.
type Cluster struct {
	lingering []*lingering
	log       *slog.Logger
	api       *apiServer
	node      *node
	pod       *pod.Pod
	config    *rest.Config
	cancel    context.CancelFunc
	front     *http.Server
	back      *http.Server
	serve     sync.WaitGroup

	closeOnce sync.Once
	closeErr  error
}

// Start opens two listeners on loopback: the API server's, with TLS, and the
// node's, to which only the API server knows the way. When ctx ends, streams
// end; Close is needed all the same.
func Start(ctx context.Context, o Options) (_ *Cluster, err error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Dir == "" {
		o.Dir = os.TempDir()
	}
	authority, err := newAuthority(time.Now())
	if err != nil {
		return nil, fmt.Errorf("making the cluster's certificates: %w", err)
	}
	var opened []func() error
	defer func() {
		for i := len(opened) - 1; err != nil && i >= 0; i-- {
			err = errors.Join(err, opened[i]())
		}
	}()
	front, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for the API server: %w", err)
	}
	opened = append(opened, front.Close)
	back, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for the node: %w", err)
	}
	opened = append(opened, back.Close)
	p, err := pod.Start(pod.Options{Name: Pod, Dir: o.Dir, Tick: tick, Log: o.Log})
	if err != nil {
		return nil, err
	}
	opened = append(opened, p.Close)

	ctx, cancel := context.WithCancel(ctx)
	c := &Cluster{log: o.Log, pod: p, cancel: cancel}
	c.node = newNode(o.Log, p, back.Addr().String())
	token := rand.Text()
	if c.api, err = newAPIServer(o, token, p, c.node, front.Addr().String()); err != nil {
		cancel()
		return nil, err
	}
	c.config = &rest.Config{
		Host:            "https://" + front.Addr().String(),
		BearerToken:     token,
		TLSClientConfig: rest.TLSClientConfig{CAData: authority.caPEM},
	}

	logging := withLogger(ctx, o.Log)
	base := func(net.Listener) context.Context { return logging }
	errorLog := slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug)
	c.front = &http.Server{Handler: c.api, TLSConfig: authority.server, BaseContext: base, ErrorLog: errorLog,
		ReadHeaderTimeout: 10 * time.Second}
	c.back = &http.Server{Handler: c.node, BaseContext: base, ErrorLog: errorLog,
		ReadHeaderTimeout: 10 * time.Second}
	c.lingering = []*lingering{newLingering(front), newLingering(back)}
	c.serve.Go(func() { c.served(c.front.ServeTLS(c.lingering[0], "", "")) })
	c.serve.Go(func() { c.served(c.back.Serve(c.lingering[1])) })
	return c, nil
}

func (c *Cluster) served(err error) {
	if !errors.Is(err, http.ErrServerClosed) {
		c.log.Error("the cluster's server has stopped", "error", err)
	}
}

// RESTConfig is how a client reaches the cluster: a copy, with the CA and the
// bearer token in it.
func (c *Cluster) RESTConfig() *rest.Config { return rest.CopyConfig(c.config) }

// Connections counts the upgraded streams that have not ended yet, on
// whichever side of the API server there are more of them.
func (c *Cluster) Connections() int {
	return int(max(c.api.upgraded.Load(), c.node.upgraded.Load()))
}

// Processes counts the commands of exec that still run.
func (c *Cluster) Processes() int { return c.pod.Running() }

// Close ends all requests, streams and processes, waits for them, and removes
// the scratch directory.
func (c *Cluster) Close() error {
	c.closeOnce.Do(func() {
		c.cancel()
		errFront, errBack := c.front.Close(), c.back.Close()
		c.serve.Wait()
		errPod := c.pod.Close()
		c.api.wait()
		c.node.wait()
		for _, l := range c.lingering {
			l.end()
		}
		c.closeErr = errors.Join(errFront, errBack, errPod)
	})
	return c.closeErr
}
