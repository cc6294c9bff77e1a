package lab

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"

	"kasgen/internal/diag"
	kasgenruntime "kasgen/runtime"
	"kasgen/runtime/certs/pebble"
	"kasgen/runtime/host"
	"kasgen/runtime/state"
	"kasgen/scenarios/lab/cloud"
	"kasgen/scenarios/lab/cluster"
	"kasgen/scenarios/lab/gitlab"
)

// Options say what a lab is made of.
type Options struct {
	Bundle  string // directory; its files stay as they are
	Version string // kasgen's
	// Registry is where kas keeps tunnels; "": where the bundle says.
	Registry kasgenruntime.Registry
	Log      *slog.Logger
	// Tell is told, once each, what the bundle names and the lab has elsewhere.
	Tell func(from, to string)
	// Cluster is a real cluster; nil makes the stand-in.
	Cluster *rest.Config
	// Limit is how long an agent may take to connect; 0 is a minute.
	Limit time.Duration
	// Native has the real nginx and HAProxy run the front. Nothing of the bundle
	// is moved then: its ports must be free, and its paths are written to.
	Native bool
	// Agents are the ways of the agents to start; nil: one by each way that the
	// bundle carries.
	Agents []Way
	// State takes the place of the bundle's state directory and stays when the
	// lab ends; what is in it is used as it is. Empty: one of the lab's own.
	State string
	// TryAll starts an agent by each way, also by those that the bundle does
	// not carry; one that does not connect within Limit is in Absent.
	TryAll bool
	// Model and GRPCModel, if not nil, stand before kas's name and the name for
	// gRPC in place of the balancers that the bundle asks for. Direct has Model
	// choose by path between kas's own listeners, past everything else in the
	// bundle.
	Model, GRPCModel *cloud.Model
	Direct           bool
	// OlderCluster has the stand-in cluster's API server be from before 1.30,
	// without WebSocket for kubectl.
	OlderCluster bool
	// CIJob has the job of the lab be itself in the cluster, whose RBAC then
	// decides; otherwise it is the agent.
	CIJob bool
}

// Way is how an agent reaches kas.
type Way string

// The ways.
const (
	WSS   Way = "wss"
	GRPCS Way = "grpcs"
)

// Agent is an agent of the lab.
type Agent struct {
	Name  string // its way, with a number if the lab has several of that one
	Way   Way
	ID    int64
	token string
}

// Lab is a running bundle with everything around it.
type Lab struct {
	Agents []Agent           // that are connected
	Absent map[string]string // why others are not, by name

	dir      string
	bundle   *kasgenruntime.Bundle
	redirect *Redirect
	host     *host.Host
	scratch  string // of the real programs; empty: the embedded ones run
	proxy    *proxy
	running  *kasgenruntime.Running
	gitlab   *gitlab.GitLab
	cluster  *cluster.Cluster // nil: a real one
	job      string           // CI_JOB_TOKEN
	names    names
	server   string // where clients of the Kubernetes API connect: host:port
	caFile   string
	caPEM    []byte
	ca       *pebble.Server // stands in for who certificates are obtained from; nil: nobody
	trusted  []byte         // by clients of kas, PEM
	seen     *seen
	ended    atomic.Bool
	drain    context.CancelFunc // ends the roles
	roles    errgroup.Group
	stop     context.CancelFunc // ends what is around them
	work     errgroup.Group
	pods     map[int64]*pod // by agent
	closers  []func() error
}

// Start brings everything up and returns when both agents are connected.
func Start(ctx context.Context, o Options) (_ *Lab, err error) {
	b, err := kasgenruntime.Read(o.Bundle, kasgenruntime.All, o.Registry)
	if err == nil {
		err = b.Complete(ctx)
	}
	if err != nil {
		return nil, err
	}
	if b.Kas() == nil {
		return nil, errors.New("the bundle has no kas")
	}
	// The roles end with ctx; GitLab, cluster and agents only when the roles
	// have drained, or there would be nothing to drain.
	roles, drain := context.WithCancel(ctx)
	around, stop := context.WithCancel(context.WithoutCancel(ctx))
	starting := context.AfterFunc(ctx, stop)
	l := &Lab{Absent: map[string]string{}, pods: map[int64]*pod{}, bundle: b, redirect: NewRedirect(o.Tell), seen: newSeen(), drain: drain, stop: stop}
	defer func() {
		if err == nil {
			return
		}
		if fault := l.Close(); fault != nil {
			err = errors.Join(err, fault)
		}
	}()
	if l.dir, err = os.MkdirTemp("", "kasgen-lab-"); err != nil {
		return nil, err
	}
	if l.names, err = findNames(b); err != nil {
		return nil, err
	}
	up := []struct {
		ctx  context.Context
		step func(context.Context, Options) error
	}{{around, l.makeFiles}, {around, l.startGitLab}, {around, l.startCluster}, {around, l.startProxy}, {roles, l.startRoles}, {around, l.startAgents}}
	for _, u := range up {
		if err := u.step(u.ctx, o); err != nil {
			return nil, err
		}
	}
	if !starting() {
		return nil, ctx.Err()
	}
	return l, nil
}

// Topology is the name of what runs.
func (l *Lab) Topology() string { return l.bundle.Lock.Topology }

// Left says what of the bundle does not run here.
func (l *Lab) Left() diag.Findings { return l.bundle.Left() }

// patience is how long clients stay connected while roles drain: longer than the
// 30 s that kasgen's own files give streams. A real nginx whose file sets no
// limit, as GitLab's does not, would wait for them without end.
const patience = 45 * time.Second

// Close drains the roles, ends everything and removes what was made.
func (l *Lab) Close() error {
	l.ended.Store(true)
	l.drain()
	late := time.AfterFunc(patience, l.stop)
	err := l.roles.Wait()
	late.Stop()
	l.stop()
	for _, p := range l.pods {
		p.stop()
	}
	err = errors.Join(err, l.work.Wait())
	for i := len(l.closers) - 1; i >= 0; i-- {
		err = errors.Join(err, l.closers[i]())
	}
	return errors.Join(err, os.RemoveAll(l.dir))
}

// makeFiles makes the secrets and certificates that the bundle names, in the
// lab's own directory.
func (l *Lab) makeFiles(_ context.Context, o Options) error {
	stateDir := l.bundle.Lock.StateDir
	if !o.Native {
		stateDir = cmp.Or(o.State, filepath.Join(l.dir, "state"))
		l.redirect.Path(l.bundle.Lock.StateDir, stateDir)
	}
	if err := l.macKey(); err != nil {
		return err
	}
	items := l.bundle.Development(stateDir)
	l.caFile = filepath.Join(l.dir, "lab-ca.crt")
	for _, i := range items {
		if i.Kind == state.CA {
			l.caFile = i.Path
		}
	}
	// The lab's own servers have certificates too, whoever kas's is of.
	if _, err := state.Ensure(append(items, state.Item{Path: l.caFile, Kind: state.CA})); err != nil {
		return err
	}
	if !o.Native {
		made, err := l.foreignFiles(l.caFile)
		if err != nil {
			return err
		}
		if _, err := state.Ensure(made); err != nil {
			return err
		}
	}
	var err error
	l.caPEM, err = os.ReadFile(l.caFile)
	l.trusted = l.caPEM
	return err
}

// startGitLab starts the stand-in under the name that kas-config.yaml has.
func (l *Lab) startGitLab(ctx context.Context, o Options) error {
	address, secretFile := l.bundle.Kas().GitLab()
	secret, err := l.secret(secretFile)
	if err != nil {
		return err
	}
	l.job = token()
	l.Agents = l.agents(o)
	g, err := gitlab.Start(ctx, l.gitlabOptions(secret, o))
	if err != nil {
		return fmt.Errorf("stand-in GitLab: %w", err)
	}
	l.gitlab = g
	l.closers = append(l.closers, g.Close)
	return l.serveAs(ctx, address, g.URL())
}

func (l *Lab) startCluster(ctx context.Context, o Options) error {
	if o.Cluster != nil {
		return nil
	}
	c, err := cluster.Start(ctx, cluster.Options{Log: o.Log, Dir: l.dir, Older: o.OlderCluster, OnRequest: func(r cluster.Observed) { l.seen.note(r.UserAgent, r.Protocol) }})
	if err != nil {
		return fmt.Errorf("stand-in cluster: %w", err)
	}
	l.cluster = c
	l.closers = append(l.closers, c.Close)
	return nil
}

// startRoles runs the bundle.
func (l *Lab) startRoles(ctx context.Context, o Options) error {
	log := o.Log
	if o.Native && !log.Enabled(ctx, slog.LevelDebug) {
		// Front, kas and agents end in no order: whom the others do not find is
		// no news to who only wants warnings.
		log = slog.New(ending{log.Handler(), &l.ended})
	}
	base := host.Machine(log)
	base.Roots = x509.NewCertPool()
	base.Roots.AppendCertsFromPEM(l.caPEM)
	l.host = l.redirect.Host(base)
	if o.Native {
		l.host.Listen, l.host.ReadFile, l.host.Path = base.Listen, base.ReadFile, base.Path
		l.scratch = filepath.Join(l.dir, "front")
	}
	l.bundle.UseNative(l.scratch)
	r, err := l.bundle.Start(ctx, l.host, l.host, o.Version)
	if err != nil {
		return err
	}
	l.running = r
	// A CA asks at once, so that it has to know where; what is not served yet
	// waits in a queue.
	err = l.meet(ctx, o)
	if err == nil {
		err = l.startCA(ctx, o)
	}
	l.roles.Go(func() error { return r.Serve(ctx) })
	if err == nil {
		err = l.awaitCertificates(ctx)
	}
	return err
}

// meet finds what clients of each name meet first, and puts before it what is
// somebody else's.
func (l *Lab) meet(ctx context.Context, o Options) error {
	for _, n := range l.names {
		at, err := "", error(nil)
		if !o.Direct {
			if at, err = l.listener(n.Listeners[0]); err != nil {
				return err
			}
		}
		model := o.Model
		if !n.serves(kubernetesAPI) {
			model = o.GRPCModel
		}
		if n.Front != nil || model != nil {
			if at, err = l.startFront(ctx, n, at, model, o); err != nil {
				return err
			}
		}
		l.redirect.Name(n.hostport(), at)
		if n.serves(kubernetesAPI) {
			l.server = at
		}
	}
	return nil
}

func (l *Lab) dial(ctx context.Context, network, address string) (net.Conn, error) {
	to, err := l.redirect.Address(address)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	return d.DialContext(ctx, network, to)
}

func ignoreCanceled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// token is a random credential; the lab has no other.
func token() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails, says crypto/rand
	return hex.EncodeToString(b)
}
