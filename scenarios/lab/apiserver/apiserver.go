// Package apiserver runs a real Kubernetes API server on loopback: etcd,
// kube-apiserver with RBAC, and a node that serves the streams of one pod
// itself, so that no container runtime is needed. It knows nothing of kas. Its
// law: whatever a client is answered, Kubernetes answered it; and everything
// is gone after Close.
package apiserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"kasgen/scenarios/lab/cluster"
	programs "kasgen/scenarios/lab/kubernetes"
	"kasgen/scenarios/lab/program"
)

// Options of a server.
type Options struct {
	Server string // path of kube-apiserver; "": the one that is built from source
	Etcd   string // path of etcd; "": the one on PATH
	Log    *slog.Logger
}

// complete finds, or builds, what is not given.
func (o *Options) complete(ctx context.Context) error {
	if o.Server == "" {
		built, err := programs.GetServer(ctx, o.Log)
		if err != nil {
			return err
		}
		o.Server = built.Path
	}
	if o.Etcd == "" {
		path, err := exec.LookPath("etcd")
		if err != nil {
			return fmt.Errorf("%w: install the Debian package etcd-server", err)
		}
		o.Etcd = path
	}
	return nil
}

// Server runs from Start to Close.
type Server struct {
	dir       string
	log       *slog.Logger
	ca        *authority
	config    *rest.Config
	processes []*program.Program // in the order of their start
	kubelet   *cluster.Kubelet
}

// starting is how long each part may take on a busy machine.
const starting = 2 * time.Minute

// Start brings everything up; the pod cluster.Pod in cluster.Namespace runs.
func Start(ctx context.Context, o Options) (_ *Server, err error) {
	if err := o.complete(ctx); err != nil {
		return nil, err
	}
	s := &Server{log: o.Log}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.dir, err = os.MkdirTemp("", "kasgen-kubernetes-"); err != nil {
		return nil, err
	}
	if s.ca, err = newAuthority(s.dir); err != nil {
		return nil, fmt.Errorf("making certificates: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, starting)
	defer cancel()
	etcd, err := s.startEtcd(ctx, o.Etcd)
	if err != nil {
		return nil, err
	}
	if err := s.startServer(ctx, o.Server, etcd); err != nil {
		return nil, err
	}
	if err := s.startNode(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// RESTConfig is a client that may do everything.
func (s *Server) RESTConfig() *rest.Config { return rest.CopyConfig(s.config) }

// User is a client that may do what RBAC gives that user and those groups.
func (s *Server) User(name string, groups ...string) (*rest.Config, error) {
	own, err := s.ca.issue(name, groups...)
	if err != nil {
		return nil, fmt.Errorf("making a certificate for %s: %w", name, err)
	}
	c := s.RESTConfig()
	c.CertData, c.KeyData = own.cert, own.key
	return c, nil
}

// Identity is a certificate and its key, by which somebody on this machine is
// known, and the authority's certificate, by which that one knows others.
type Identity struct{ CertFile, KeyFile, CAFile string }

// Identity is one for name, of groups; the files are there until Close.
func (s *Server) Identity(name string, groups ...string) (Identity, error) {
	if _, err := s.ca.issue(name, groups...); err != nil {
		return Identity{}, fmt.Errorf("making a certificate for %s: %w", name, err)
	}
	file := s.ca.file(name)
	return Identity{file + ".crt", file + ".key", s.ca.path("ca.crt")}, nil
}

// Close ends every process and removes every file.
func (s *Server) Close() error {
	var err error
	if s.kubelet != nil {
		err = s.kubelet.Close()
	}
	for i := len(s.processes) - 1; i >= 0; i-- {
		s.processes[i].End()
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// free is a port that nobody listens on. Another process may take it before
// it is used; then what is started on it fails, and says so.
func free() (string, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(ln.Addr().String())
	return port, errors.Join(err, ln.Close())
}

// startEtcd starts etcd for clients on loopback, and returns its address.
func (s *Server) startEtcd(ctx context.Context, binary string) (string, error) {
	clients, err := free()
	if err != nil {
		return "", err
	}
	peers, err := free()
	if err != nil {
		return "", err
	}
	url, peer := "http://127.0.0.1:"+clients, "http://127.0.0.1:"+peers
	p, err := program.Start(exec.Command(binary, "--name=lab", "--data-dir="+filepath.Join(s.dir, "etcd"),
		"--listen-client-urls="+url, "--advertise-client-urls="+url,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=lab="+peer,
		"--unsafe-no-fsync"), s.dir, s.log)
	if err != nil {
		return "", err
	}
	s.processes = append(s.processes, p)
	return url, p.Answers(ctx, url+"/health", nil)
}

// startServer starts kube-apiserver and waits until it is ready.
func (s *Server) startServer(ctx context.Context, binary, etcd string) error {
	ca := s.ca
	port, err := free()
	if err != nil {
		return err
	}
	for _, name := range []string{"kube-apiserver", "service-accounts"} {
		if _, err := ca.issue(name); err != nil {
			return err
		}
	}
	if _, err := ca.issue("kube-apiserver-kubelet-client", "system:masters"); err != nil {
		return err
	}
	admin, err := ca.issue("admin", "system:masters")
	if err != nil {
		return err
	}
	s.config = &rest.Config{Host: "https://127.0.0.1:" + port, QPS: -1,
		TLSClientConfig: rest.TLSClientConfig{CAData: ca.pem, CertData: admin.cert, KeyData: admin.key}}
	if err := os.WriteFile(ca.path("audit-policy.yaml"), []byte(auditPolicy), 0o600); err != nil {
		return err
	}
	p, err := program.Start(exec.Command(binary, "--etcd-servers="+etcd,
		"--audit-policy-file="+ca.path("audit-policy.yaml"), "--audit-log-path="+s.auditLog(), "--audit-log-mode=blocking",
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none", "--secure-port="+port, "--cert-dir="+s.dir,
		"--tls-cert-file="+ca.path("kube-apiserver.crt"), "--tls-private-key-file="+ca.path("kube-apiserver.key"),
		"--client-ca-file="+ca.path("ca.crt"), "--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+ca.path("service-accounts.crt"), "--service-account-signing-key-file="+ca.path("service-accounts.key"),
		"--kubelet-certificate-authority="+ca.path("ca.crt"), "--kubelet-preferred-address-types=Hostname",
		"--kubelet-client-certificate="+ca.path("kube-apiserver-kubelet-client.crt"), "--kubelet-client-key="+ca.path("kube-apiserver-kubelet-client.key"),
		// There is nobody to make the account that every pod would get.
		"--disable-admission-plugins=ServiceAccount",
		"--service-cluster-ip-range=10.96.0.0/24"), s.dir, s.log)
	if err != nil {
		return err
	}
	s.processes = append(s.processes, p)
	transport, err := rest.TransportFor(s.config)
	if err != nil {
		return err
	}
	return p.Answers(ctx, s.config.Host+"/readyz", transport)
}

// startNode starts the node and tells the API server of it and its pod.
func (s *Server) startNode(ctx context.Context) error {
	ca := s.ca
	own, err := ca.issue("localhost", "system:nodes")
	if err != nil {
		return err
	}
	config, err := ca.server(own)
	if err != nil {
		return err
	}
	// Not ctx, which ends with the start.
	if s.kubelet, err = cluster.StartKubelet(context.WithoutCancel(ctx), config, s.dir, s.log); err != nil {
		return fmt.Errorf("starting the node: %w", err)
	}
	client, err := kubernetes.NewForConfig(s.config)
	if err != nil {
		return err
	}
	if err := register(ctx, client, s.kubelet.Port()); err != nil {
		return fmt.Errorf("registering the node at port %s: %w", strconv.Itoa(s.kubelet.Port()), err)
	}
	return nil
}
