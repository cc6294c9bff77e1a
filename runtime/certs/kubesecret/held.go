package kubesecret

import (
	"context"
	"time"

	coordination "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kasgen/runtime/certs/acme"
)

// keep renews a lock that was asked for at that time, until unlock, which gives
// it back. locked ends with acme.ErrLockLost as soon as the Lease is found in
// another's hand, and when nothing could be renewed for the length of a lease:
// another counts as much from when it saw the last renewal, which is later.
func (l *lock) keep(ctx context.Context, asked time.Time) (locked context.Context, unlock func()) {
	locked, lose := context.WithCancelCause(ctx)
	stop, stopped := make(chan struct{}), make(chan struct{})
	ctx = context.WithoutCancel(ctx) // who is told to stop still gives back
	life := l.cache.o.Lease
	expiry := time.AfterFunc(life-time.Since(asked), func() { lose(acme.ErrLockLost) })
	go func() {
		defer close(stopped)
		tick := time.NewTicker(life / 3)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			asked := time.Now()
			switch ours, err := l.change(ctx, "renewed", func(s *coordination.LeaseSpec) { now := metav1.NowMicro(); s.RenewTime = &now }); {
			case err != nil: // there is a next time, unless it expires
			case !ours:
				lose(acme.ErrLockLost)
				return
			default:
				expiry.Reset(life - time.Since(asked))
			}
		}
	}()
	return locked, func() {
		close(stop)
		<-stopped
		expiry.Stop()
		lose(context.Canceled)
		// What fails has been logged, and the Lease expires by itself.
		_, _ = l.change(ctx, "given back", func(s *coordination.LeaseSpec) { s.HolderIdentity, s.AcquireTime, s.RenewTime = nil, nil, nil })
	}
}

// change alters our own Lease, and says whether it is ours; one that is
// another's by now stays as it is.
func (l *lock) change(ctx context.Context, what string, f func(*coordination.LeaseSpec)) (ours bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, min(answering, l.cache.o.Lease))
	defer cancel()
	log := l.cache.o.Log.With("lease", l.name, "lock", l.lock)
	lease, err := l.cache.leases.Get(ctx, l.name, metav1.GetOptions{})
	if err == nil && (lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity != l.holder) {
		log.Warn("a lock was lost while it was held: another replica may do the same work")
		return false, nil
	}
	if err == nil {
		f(&lease.Spec)
		_, err = l.cache.leases.Update(ctx, lease, metav1.UpdateOptions{})
	}
	if err != nil {
		log.Warn("a lock was not "+what, "error", err)
	}
	return true, err
}
