package agents

import "google.golang.org/grpc"

// apart runs f on a goroutine of its own. Decompressing, parsing and asking
// GitLab need a deep stack, which a goroutine keeps, and the one that waits
// here goes on to wait for hours: there are thousands.
func apart(f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return <-done
}

// receivingApart is a stream whose generated handler receives before it calls.
type receivingApart struct{ grpc.ServerStream }

func (r receivingApart) RecvMsg(m any) error {
	return apart(func() error { return r.ServerStream.RecvMsg(m) })
}
