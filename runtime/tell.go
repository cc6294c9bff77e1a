package runtime

import (
	"context"
	"maps"
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
// again by who reads the files; but of a real program, which may refuse them, it
// is told what clients see of it.
func (r *Running) Status() []certs.Status {
	r.mu.Lock()
	roles := slices.Clone(r.roles)
	r.mu.Unlock()
	written := map[string]string{} // certificates by their files
	for _, role := range roles {
		if p, ok := role.server.(*provision.Server); ok {
			maps.Copy(written, p.Written())
		}
	}
	var all []certs.Status
	shown := map[string][]certs.Status{} // by who may refuse it, by certificate
	for _, role := range roles {
		c, ok := role.server.(certified)
		if !ok {
			continue
		}
		_, refuses := role.server.(*nativeFront)
		for _, s := range c.Status() {
			id, isWritten := written[s.ID]
			switch {
			case !isWritten:
				all = append(all, s)
			case refuses:
				shown[id] = append(shown[id], s)
			}
		}
	}
	for i := range all {
		for _, s := range shown[all[i].ID] {
			all[i] = all[i].Shown(s)
		}
	}
	slices.SortStableFunc(all, func(a, b certs.Status) int { return a.NotAfter.Compare(b.NotAfter) })
	return all
}

// tell logs what is found about certificates until ctx is done.
func (r *Running) tell(ctx context.Context) error {
	certs.Tell(ctx, r.log, r.Status)
	return nil
}
