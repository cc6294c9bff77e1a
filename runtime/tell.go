package runtime

import (
	"context"
	"slices"

	"kasgen/runtime/certs"
	"kasgen/runtime/certs/provision"
)

// certified is a role that has certificates.
type certified interface {
	// Status is of every one.
	Status() []certs.Status
}

// Status is of every certificate of the generation that runs, those that expire
// first at the head. What is obtained here is told by who obtains it, and not
// again by who reads the files.
func (r *Running) Status() []certs.Status {
	r.mu.Lock()
	roles := slices.Clone(r.roles)
	r.mu.Unlock()
	var all []certs.Status
	var written []string
	for _, role := range roles {
		if p, ok := role.server.(*provision.Server); ok {
			written = append(written, p.Written()...)
		}
		if c, ok := role.server.(certified); ok {
			all = append(all, c.Status()...)
		}
	}
	all = slices.DeleteFunc(all, func(s certs.Status) bool { return slices.Contains(written, s.ID) })
	slices.SortStableFunc(all, func(a, b certs.Status) int { return a.NotAfter.Compare(b.NotAfter) })
	return all
}

// tell logs what is found about certificates until ctx is done.
func (r *Running) tell(ctx context.Context) error {
	certs.Tell(ctx, r.log, r.Status)
	return nil
}
