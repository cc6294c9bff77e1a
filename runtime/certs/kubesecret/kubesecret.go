// Package kubesecret keeps in one Kubernetes Secret what the replicas of an
// ACME source share, and locks it by Leases. It knows nothing of certificates:
// entries are bytes. Its law: an entry is written without reading the others,
// so that no replica undoes another's work, and a lock is one holder's for as
// long as that one renews it.
//
// It wants these rights in its namespace: get and patch of the Secret, create
// of Secrets unless it is there already, and get, create and update of Leases.
package kubesecret

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/crypto/acme/autocert"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	typedv1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"kasgen/runtime/certs/acme"
)

// Options say where.
type Options struct {
	Log       *slog.Logger
	Namespace string
	Secret    string // its name, and the first part of the Leases' names
	// Lease is how long a lock outlives its holder; 0 is DefaultLease.
	Lease time.Duration
	// Pause is the least time between two reads; 0 is DefaultPause.
	Pause time.Duration
}

// Defaults. A lease of 15 s is what Kubernetes' own controllers take: long
// enough for a server that restarts, short enough for who waits.
const (
	DefaultLease = 15 * time.Second
	DefaultPause = 50 * time.Millisecond
)

// answering bounds one request to the API server.
const answering = 10 * time.Second

// Cache is an acme.Cache.
type Cache struct {
	o       Options
	ctx     context.Context // what reads for several callers ends with
	secrets typedv1.SecretInterface
	leases  coordinationv1.LeaseInterface

	turn sync.Mutex // of the read under way
	last time.Time  // when that one began
	mu   sync.Mutex
	next *reading // for those who come while one is under way
}

var _ acme.Cache = (*Cache)(nil)

// Open asks nothing yet: an API server that is down is no reason not to start.
// The cache can be used until ctx is done.
func Open(ctx context.Context, config *rest.Config, o Options) (*Cache, error) {
	if faults := validation.IsDNS1123Subdomain(o.Secret); len(faults) > 0 {
		return nil, fmt.Errorf("the Secret's name %q: %s", o.Secret, faults[0])
	}
	if faults := validation.IsDNS1123Label(o.Namespace); len(faults) > 0 {
		return nil, fmt.Errorf("the namespace %q: %s", o.Namespace, faults[0])
	}
	if o.Lease == 0 {
		o.Lease = DefaultLease
	}
	if o.Lease < time.Second {
		return nil, fmt.Errorf("a lease of %s: Kubernetes counts them in seconds", o.Lease)
	}
	if o.Pause == 0 {
		o.Pause = DefaultPause
	}
	config = rest.CopyConfig(config)
	config.Timeout = answering
	config.UserAgent = "kasgen"
	// Reads are paced here, and nothing may make a lease wait for its renewal.
	config.QPS = -1
	// What is so small gains nothing by protobuf, and people can read JSON.
	config.ContentType, config.AcceptContentTypes = "application/json", "application/json"
	core, errCore := typedv1.NewForConfig(config)
	coordination, errCoordination := coordinationv1.NewForConfig(config)
	if err := errors.Join(errCore, errCoordination); err != nil {
		return nil, err
	}
	return &Cache{o: o, ctx: ctx, secrets: core.Secrets(o.Namespace), leases: coordination.Leases(o.Namespace)}, nil
}

// Get is acme.Cache's.
func (c *Cache) Get(ctx context.Context, key string) ([]byte, error) {
	data, err := c.read(ctx)
	if err != nil {
		return nil, err
	}
	entry, ok := data[entryName(key)]
	if !ok {
		return nil, autocert.ErrCacheMiss
	}
	return entry, nil
}

// Put is acme.Cache's.
func (c *Cache) Put(ctx context.Context, key string, data []byte) error {
	if data == nil {
		data = []byte{} // null would delete
	}
	for range 3 { // somebody makes or removes the Secret at the same time
		err := c.patch(ctx, key, data)
		if !apierrors.IsNotFound(err) {
			return err
		}
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: c.o.Secret, Labels: labels()},
			Type: corev1.SecretTypeOpaque, Data: map[string][]byte{entryName(key): data}}
		_, err = c.secrets.Create(ctx, secret, metav1.CreateOptions{})
		if !apierrors.IsAlreadyExists(err) {
			return c.about("making", err)
		}
	}
	return fmt.Errorf("the Secret %s/%s comes and goes", c.o.Namespace, c.o.Secret)
}

// Delete is acme.Cache's.
func (c *Cache) Delete(ctx context.Context, key string) error {
	err := c.patch(ctx, key, nil)
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// patch changes one entry, or removes it where data is nil. A merge patch names
// that entry and no other (RFC 7386), and the API server itself applies it to
// the newest version: there is no conflict to lose and no entry to write back.
func (c *Cache) patch(ctx context.Context, key string, data []byte) error {
	body, err := json.Marshal(map[string]any{"data": map[string][]byte{entryName(key): data}})
	if err != nil {
		return err
	}
	_, err = c.secrets.Patch(ctx, c.o.Secret, types.MergePatchType, body, metav1.PatchOptions{})
	return c.about("writing", err)
}

func (c *Cache) about(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s the Secret %s/%s: %w", doing, c.o.Namespace, c.o.Secret, err)
}

func labels() map[string]string {
	return map[string]string{"app.kubernetes.io/managed-by": "kasgen"}
}
