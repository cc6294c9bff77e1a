package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"kasgen/runtime/certs"
	"kasgen/runtime/certs/provision"
)

// refresher is a role that ends TLS with certificates in files.
type refresher interface {
	// Refresh makes what is in the files now what new handshakes get. Streams go
	// on.
	Refresh(ctx context.Context) error
}

// refresh tells every role that certificates have been written. Roles of other
// processes look at the files by themselves.
func (r *Running) refresh(ctx context.Context) error {
	r.mu.Lock()
	roles := slices.Clone(r.roles)
	r.mu.Unlock()
	var faults []error
	for _, role := range roles {
		if f, ok := role.server.(refresher); ok {
			if err := f.Refresh(ctx); err != nil {
				faults = append(faults, fmt.Errorf("%s: %w", role.name, err))
			}
		}
	}
	return errors.Join(faults...)
}

// provisioned is who obtains certificates in the generation that runs, if
// somebody does.
func (r *Running) provisioned() (*provision.Server, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if role := r.role(string(Certs)); role != nil {
		s, ok := role.server.(*provision.Server)
		return s, ok
	}
	return nil, false
}

// Certificates tells of what is obtained from a CA.
func (r *Running) Certificates() []certs.Status {
	if s, ok := r.provisioned(); ok {
		return s.Status()
	}
	return nil
}

// Renew obtains every certificate anew, now.
func (r *Running) Renew(ctx context.Context) error {
	s, ok := r.provisioned()
	if !ok {
		return errors.New("nothing is obtained from a CA here")
	}
	return s.Renew(ctx)
}
