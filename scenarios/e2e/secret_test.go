//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"kasgen/runtime/certs"
	"kasgen/runtime/certs/acme"
	"kasgen/runtime/certs/acme/cachetest"
	"kasgen/runtime/certs/kubesecret"
	"kasgen/runtime/certs/pebble"
	"kasgen/scenarios/lab/apiserver"
	"kasgen/scenarios/lab/apiserver/apiservertest"
)

// asReplica is a client with the rights that the cache says it needs, and no
// others.
func asReplica(t *testing.T, s *apiserver.Server, secret string) *rest.Config {
	t.Helper()
	admin, err := kubernetes.NewForConfig(s.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	const user = "replica"
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: secret}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{secret}, Verbs: []string{"get", "patch"}},
		{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"create"}},
		{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"get", "create", "update"}},
	}}
	binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: secret},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, Name: user}}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: secret}}
	_, errRole := admin.RbacV1().Roles(metav1.NamespaceDefault).Create(t.Context(), role, metav1.CreateOptions{})
	_, errBinding := admin.RbacV1().RoleBindings(metav1.NamespaceDefault).Create(t.Context(), binding, metav1.CreateOptions{})
	if err := errors.Join(errRole, errBinding); err != nil {
		t.Fatal(err)
	}
	config := s.RESTConfig()
	config.Impersonate.UserName = user
	return config
}

func secretCache(t *testing.T, config *rest.Config, secret string) *kubesecret.Cache {
	t.Helper()
	c, err := kubesecret.Open(t.Context(), config, kubesecret.Options{Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Namespace: metav1.NamespaceDefault, Secret: secret, Lease: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestKubernetesSecret shares certificates through a Secret of a real API
// server: the cache does as caches must, and two replicas behind one balancer
// place one order, whichever of them the CA's questions reach.
func TestKubernetesSecret(t *testing.T) {
	s := apiservertest.Start(t)
	t.Run("cache", func(t *testing.T) {
		config := asReplica(t, s, "cache")
		cachetest.Run(t, func(t *testing.T) acme.Cache { return secretCache(t, config, "cache") })
	})
	t.Run("replicas", func(t *testing.T) { secretReplicas(t, s, asReplica(t, s, "replicas")) })
}

func secretReplicas(t *testing.T, s *apiserver.Server, config *rest.Config) {
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	const name = "kas.example.com"
	var turns atomic.Int32
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ca, err := pebble.Start(t.Context(), pebble.Options{TLSPort: ln.Addr().(*net.TCPAddr).Port, HTTPPort: 1, Validity: 90 * 24 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer ca.Close()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	var replicas []*acme.Source
	for range 2 {
		cache, err := acme.Seal(secretCache(t, config, "replicas"), bytes.Repeat([]byte("k"), 32))
		if err != nil {
			t.Fatal(err)
		}
		client := ca.Client()
		defer client.CloseIdleConnections()
		src, err := acme.New(t.Context(), acme.Options{Log: log, Directory: ca.Directory(), Certificates: [][]string{{name}},
			Challenges: []acme.Challenge{acme.TLSALPN01}, Cache: cache, Client: client, Check: 100 * time.Millisecond, Retry: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		replicas = append(replicas, src)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var work sync.WaitGroup
	front := tls.NewListener(ln, &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		// In turn, so that the CA meets who did not order, too.
		c := certs.Listen(&tls.Config{MinVersion: tls.VersionTLS12}, replicas[turns.Add(1)%2])
		if answer, err := c.GetConfigForClient(hello); answer != nil || err != nil {
			return answer, err
		}
		return c, nil
	}})
	defer func() {
		cancel()
		front.Close()
		work.Wait()
	}()
	work.Go(func() {
		for {
			conn, err := front.Accept()
			if err != nil {
				return
			}
			work.Go(func() {
				defer conn.Close()
				_ = conn.(*tls.Conn).HandshakeContext(ctx)
			})
		}
	})
	for _, src := range replicas {
		work.Go(func() {
			if err := src.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	agree := func(what string, other *tls.Certificate) *tls.Certificate {
		t.Helper()
		end := time.After(2 * time.Minute)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			a, b := replicas[0].Certificate(name), replicas[1].Certificate(name)
			if a != nil && b != nil && bytes.Equal(a.Certificate[0], b.Certificate[0]) && (other == nil || !bytes.Equal(a.Certificate[0], other.Certificate[0])) {
				return a
			}
			select {
			case <-tick.C:
			case <-end:
				t.Fatalf("%s: the replicas do not agree: %+v, %+v", what, replicas[0].Status(), replicas[1].Status())
			}
		}
	}
	first := agree("at first", nil)
	if n := ca.Orders(); n != 1 {
		t.Errorf("%d orders, want 1", n)
	}
	if err := replicas[1].Renew(t.Context()); err != nil {
		t.Error(err)
	}
	agree("after a renewal", first)
	if n := ca.Orders(); n != 2 {
		t.Errorf("%d orders, want 2", n)
	}
	admin, err := kubernetes.NewForConfig(s.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	secret, err := admin.CoreV1().Secrets(metav1.NamespaceDefault).Get(t.Context(), "replicas", metav1.GetOptions{})
	if err != nil || len(secret.Data) == 0 {
		t.Fatalf("the Secret holds %d entries, %v", len(secret.Data), err)
	}
	for key, data := range secret.Data {
		if bytes.Contains(data, []byte("PRIVATE")) || strings.HasSuffix(key, "_2balpn") {
			t.Errorf("the Secret holds %s, in clear or left behind", key)
		}
	}
}
