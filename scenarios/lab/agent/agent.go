// Package agent is the lab's agent: it reaches a kas and serves a cluster's
// API to it as GitLab's agentk does on the wire, and it knows nothing of the
// kas that kasgen runs. It owns both ways to kas (gRPC inside a WebSocket, and
// gRPC), the pool of reverse tunnels, and the one method that it serves from
// them, KubernetesApi/MakeRequest. Its law: what agentk would do wrong in
// silence because of what kas sent, it refuses aloud, and in everything else a
// kas cannot tell it from agentk.
//
// The API server is reached directly, never through an HTTP proxy.
package agent

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"k8s.io/client-go/rest"

	agentpb "kasgen/internal/kasrpc/agent"
	tunnelpb "kasgen/internal/kasrpc/tunnel"
)

// Options say which kas an agent serves which cluster to.
type Options struct {
	// KasURL is ws://host[:port]/path, wss://…, grpc://host[:port] or grpcs://….
	KasURL string
	Token  string
	// RootCAs verify kas over wss and grpcs; nil means the system's.
	RootCAs *x509.CertPool
	// Headers are sent in the WebSocket's handshake, or as metadata of every
	// gRPC call.
	Headers http.Header
	// Dial connects to kas by the name and port of KasURL. Nil means a
	// net.Dialer, and then the proxy that the environment names is used.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Cluster is the API server. Proxy and Transport must be unset.
	Cluster               *rest.Config
	Version, Commit       string
	PodName, PodNamespace string
	Log                   *slog.Logger
	// OnRequest, where set, is told of every request once the head of the API
	// server's answer is known. It is called from many goroutines.
	OnRequest func(Request)
}

// Request is one request that the API server has begun to answer.
type Request struct {
	Method, Path, UserAgent string
	// UpgradeRequested is the client's Upgrade token, "" without one.
	UpgradeRequested string
	Status           int
	// UpgradeAnswered is the Upgrade token of the answer: with status 101, the
	// protocol that the API server speaks from here on.
	UpgradeAnswered string
}

// Agent is one agentk pod.
type Agent struct {
	log       *slog.Logger
	link      *link
	cluster   *cluster
	onRequest func(Request)
	buffers   sync.Pool // of *[]byte, each of bufferSize

	userAgent string // also what Via names
	podID     int64
	pod       *agentpb.AgentMeta
	version   atomic.Pointer[agentpb.KubernetesVersion]
	ready     *readiness
}

// New checks o; it opens no connection.
func New(o Options) (*Agent, error) {
	if o.Token == "" {
		return nil, errors.New("the agent has no token")
	}
	log := o.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if o.Version == "" {
		o.Version = "v0.0.0"
	}
	if o.Commit == "" {
		o.Commit = "0000000"
	}
	userAgent := "gitlab-agent/" + o.Version + "/" + o.Commit
	link, err := newLink(&o, userAgent)
	if err != nil {
		return nil, fmt.Errorf("kas URL: %w", err)
	}
	cluster, err := newCluster(o.Cluster)
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	return &Agent{
		log:       log,
		link:      link,
		cluster:   cluster,
		onRequest: o.OnRequest,
		buffers:   sync.Pool{New: func() any { b := make([]byte, bufferSize); return &b }},
		userAgent: userAgent,
		podID:     rand.Int64(),
		pod: &agentpb.AgentMeta{
			Version: o.Version, CommitId: o.Commit,
			PodNamespace: o.PodNamespace, PodName: o.PodName,
		},
		ready: newReadiness(minIdle),
	}, nil
}

// Ready is closed once kas has been sent the descriptors of the first two
// Connect streams, and has sent a configuration or said that it serves none.
func (a *Agent) Ready() <-chan struct{} { return a.ready.done }

// Run serves until ctx is done, and then returns nil. It connects anew by
// itself. An Agent runs once.
func (a *Agent) Run(ctx context.Context) error {
	conn, err := grpc.NewClient(a.link.target, a.link.options...)
	if err != nil {
		return fmt.Errorf("preparing the connection to kas: %w", err)
	}
	if len(a.link.metadata) > 0 {
		ctx = metadata.NewOutgoingContext(ctx, a.link.metadata)
	}
	tunnels := tunnelpb.NewReverseTunnelClient(conn)
	pool := newPool(a.log, func(ctx context.Context, onActive func()) error {
		return a.connect(ctx, tunnels, onActive)
	})
	var work sync.WaitGroup
	work.Go(func() { pool.run(ctx) })
	work.Go(func() { a.keepRegistered(ctx, agentpb.NewAgentRegistrarClient(conn)) })
	work.Go(func() { a.followConfiguration(ctx, agentpb.NewAgentConfigurationClient(conn)) })
	work.Wait()

	err = conn.Close()
	a.link.closeIdle()
	a.cluster.closeIdle()
	if err != nil {
		return fmt.Errorf("closing the connection to kas: %w", err)
	}
	return nil
}

// meta is what the agent says of itself.
func (a *Agent) meta() *agentpb.AgentMeta {
	return &agentpb.AgentMeta{
		Version: a.pod.Version, CommitId: a.pod.CommitId,
		PodNamespace: a.pod.PodNamespace, PodName: a.pod.PodName,
		KubernetesVersion: a.version.Load(),
	}
}
