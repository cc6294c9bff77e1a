package tunnels

import (
	"context"

	"google.golang.org/grpc/mem"

	"kasgen/runtime/kas/cutthrough"
	"kasgen/runtime/kas/wire"
)

// cut is a tunnel whose messages bypass gRPC.
type cut struct {
	stream *cutthrough.Stream
	first  uint64 // messages that came by gRPC
	pass   func(*wire.Frame) bool
	frame  wire.Frame // what pass gets
	left   bool       // it was not done with frame
}

// CutThrough makes messages bypass gRPC from here on, where that is possible.
// While somebody waits in Receive, messages go to pass, unless it is nil, in
// the goroutine that reads the agent's connection: it must not block. It
// reports whether it is done with the frame, which is not its own; otherwise
// Receive returns what pass has left of it. It is called once at the most, by
// whoever receives.
func (t *Tunnel) CutThrough(pass func(*wire.Frame) bool) {
	stream := cutthrough.FromContext(t.Context())
	if stream == nil {
		return
	}
	c := &cut{stream: stream, pass: pass}
	var handler cutthrough.Handler
	if pass != nil {
		handler = c.handle
	}
	if first, ok := stream.Divert(handler); ok {
		c.first = first
		t.cut = c
	}
}

func (c *cut) handle(m mem.Buffer) bool {
	if err := decode(m, &c.frame); err != nil {
		return false // receive finds the same
	}
	if c.pass(&c.frame) {
		c.frame.Free()
		return true
	}
	c.left = true
	return false
}

func (c *cut) receive(ctx context.Context, f *wire.Frame) error {
	m, err := c.stream.Next(ctx)
	if err != nil {
		return err
	}
	defer m.Free()
	if c.left {
		*f, c.frame, c.left = c.frame, wire.Frame{}, false
		return nil
	}
	return decode(m, f)
}

func decode(m mem.Buffer, f *wire.Frame) error {
	return wire.Codec{}.Unmarshal(mem.BufferSlice{m}, f)
}
