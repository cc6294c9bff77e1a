package kubesecret

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"time"

	coordination "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// lockPoll is how often a lock that another holds is looked at.
const lockPoll = time.Second

// lockName tells people which lock a Lease is.
const lockName = "kasgen/lock"

// Lock is acme.Cache's. Whoever dies with a lock in its hand holds up the others
// for the length of a lease. Whoever cannot reach the API server for so long
// has lost it.
func (c *Cache) Lock(ctx context.Context, name string) (context.Context, func(), error) {
	l := &lock{cache: c, lock: name, name: leaseName(c.o.Secret, name), holder: identity()}
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for {
		asked := time.Now()
		got, err := l.acquire(ctx)
		if err != nil {
			return nil, nil, fmt.Errorf("the Lease %s/%s: %w", c.o.Namespace, l.name, err)
		}
		if got {
			locked, unlock := l.keep(ctx, asked)
			return locked, unlock, nil
		}
		select {
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		case <-tick.C:
		}
	}
}

// identity is another one for each lock, so that two in one process exclude
// each other too. The name of a pod is its host's.
func identity() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return host + "_" + rand.Text()
}

type lock struct {
	cache              *Cache
	lock, name, holder string

	seen  string    // resourceVersion of a foreign Lease, as it was last seen
	since time.Time // when that was first seen
}

// acquire says whether the lock is ours. Whether another's has expired is
// judged by our own clock alone, from when its Lease was last seen to change:
// the clocks of two machines need not agree.
func (l *lock) acquire(ctx context.Context) (bool, error) {
	leases := l.cache.leases
	lease, err := leases.Get(ctx, l.name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		lease = &coordination.Lease{ObjectMeta: metav1.ObjectMeta{Name: l.name, Labels: labels(), Annotations: map[string]string{lockName: l.lock}}}
		l.take(lease)
		_, err = leases.Create(ctx, lease, metav1.CreateOptions{})
		return err == nil, ignore(err, apierrors.IsAlreadyExists)
	}
	if err != nil {
		return false, err
	}
	if held(lease) && !l.expired(lease) {
		return false, nil
	}
	l.take(lease)
	// With the resourceVersion that was read: of two who try, one gets a
	// conflict.
	_, err = leases.Update(ctx, lease, metav1.UpdateOptions{})
	return err == nil, ignore(err, func(err error) bool { return apierrors.IsConflict(err) || apierrors.IsNotFound(err) })
}

func held(lease *coordination.Lease) bool {
	return lease.Spec.HolderIdentity != nil && *lease.Spec.HolderIdentity != ""
}

func (l *lock) expired(lease *coordination.Lease) bool {
	if l.seen != lease.ResourceVersion {
		l.seen, l.since = lease.ResourceVersion, time.Now()
		return false
	}
	life := l.cache.o.Lease
	if s := lease.Spec.LeaseDurationSeconds; s != nil && *s > 0 {
		life = time.Duration(*s) * time.Second // its holder's, who may be configured in another way
	}
	return time.Since(l.since) > life
}

func (l *lock) take(lease *coordination.Lease) {
	now, seconds := metav1.NowMicro(), int32(l.cache.o.Lease/time.Second)
	transitions := int32(0)
	if t := lease.Spec.LeaseTransitions; t != nil {
		transitions = *t + 1
	}
	lease.Spec = coordination.LeaseSpec{HolderIdentity: &l.holder, LeaseDurationSeconds: &seconds, AcquireTime: &now, RenewTime: &now, LeaseTransitions: &transitions}
}

func ignore(err error, f func(error) bool) error {
	if err == nil || f(err) {
		return nil
	}
	return err
}
