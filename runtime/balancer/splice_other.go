//go:build !linux

package balancer

// pipes are Linux's way to splice.
type pipes struct{}

func newPipes() *pipes { return nil }

func (*pipes) close() {}

// splice says that this kernel cannot.
func (*relay) splice(_, _ *side, _ *int64) (bool, error) { return false, nil }

// copyTCP says the same.
func (*relay) copyTCP(_, _ *side, _ *int64) (bool, error) { return false, nil }
