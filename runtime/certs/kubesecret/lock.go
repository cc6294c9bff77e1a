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
// may lose it while it works: that costs an order, and harms nothing.
func (c *Cache) Lock(ctx context.Context, name string) (func(), error) {
	l := &lock{cache: c, lock: name, name: leaseName(c.o.Secret, name), holder: identity()}
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for {
		got, err := l.acquire(ctx)
		if err != nil {
			return nil, fmt.Errorf("the Lease %s/%s: %w", c.o.Namespace, l.name, err)
		}
		if got {
			return l.keep(ctx), nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
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

// keep renews the lock until the function that it returns is called, which
// gives it back.
func (l *lock) keep(ctx context.Context) (unlock func()) {
	stop, stopped := make(chan struct{}), make(chan struct{})
	ctx = context.WithoutCancel(ctx) // who is told to stop still gives back
	go func() {
		defer close(stopped)
		tick := time.NewTicker(l.cache.o.Lease / 3)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				l.change(ctx, "renewed", func(s *coordination.LeaseSpec) { now := metav1.NowMicro(); s.RenewTime = &now })
			}
		}
	}()
	return func() {
		close(stop)
		<-stopped
		l.change(ctx, "given back", func(s *coordination.LeaseSpec) { s.HolderIdentity, s.AcquireTime, s.RenewTime = nil, nil, nil })
	}
}

// change alters our own Lease; one that is another's by now stays as it is.
func (l *lock) change(ctx context.Context, what string, f func(*coordination.LeaseSpec)) {
	ctx, cancel := context.WithTimeout(ctx, min(answering, l.cache.o.Lease))
	defer cancel()
	log := l.cache.o.Log.With("lease", l.name, "lock", l.lock)
	lease, err := l.cache.leases.Get(ctx, l.name, metav1.GetOptions{})
	if err == nil && (lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity != l.holder) {
		log.Warn("a lock was lost while it was held: another replica may do the same work")
		return
	}
	if err == nil {
		f(&lease.Spec)
		_, err = l.cache.leases.Update(ctx, lease, metav1.UpdateOptions{})
	}
	if err != nil {
		log.Warn("a lock was not "+what, "error", err)
	}
}

func ignore(err error, f func(error) bool) error {
	if err == nil || f(err) {
		return nil
	}
	return err
}
