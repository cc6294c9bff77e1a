package proxy

import (
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc/status"

	"kasgen/internal/kasrpc/tunnel"
	"kasgen/runtime/kas/tunnels"
	"kasgen/runtime/kas/wire"
)

// answer reads what an agent sends in a tunnel and holds it to the order that
// the protocol has: the tunnel's header, then the response (header, data,
// trailer, upgraded bytes), the tunnel's trailer, at the most one error.
type answer struct {
	tunnel *tunnels.Tunnel
	began  bool // the tunnel's header came
	head   bool // the response's header came
	ended  bool // the response's trailer came
}

var errOrder = errors.New("the agent sent messages in the wrong order")

// next reads the next message of the response into f, which the caller frees.
// io.EOF is the orderly end.
func (a *answer) next(f *wire.Frame) error {
	for {
		if err := a.tunnel.Receive(f); err != nil {
			if errors.Is(err, io.EOF) {
				return errors.New("the agent ended the request without an answer")
			}
			return fmt.Errorf("the agent's connection broke: %w", err)
		}
		if f.Connect == nil {
			return a.http(f)
		}
		switch m := f.Connect.Msg.(type) {
		case *tunnel.ConnectRequest_Header:
			if a.began {
				return errOrder
			}
			a.began = true
		case *tunnel.ConnectRequest_Trailer:
			if !a.began {
				return errOrder
			}
			return a.end(f)
		case *tunnel.ConnectRequest_Error:
			return failed(m.Error)
		default:
			return errOrder
		}
	}
}

// http holds the response's own messages to their order.
func (a *answer) http(f *wire.Frame) error {
	switch {
	case !a.began:
		return errOrder
	case f.HTTP.GetHeader() != nil:
		if a.head {
			return errOrder
		}
		a.head = true
	case f.HTTP.GetTrailer() != nil:
		if !a.head || a.ended {
			return errOrder
		}
		a.ended = true
	case !a.head || f.Upgrade != a.ended:
		return errOrder
	}
	return nil
}

// end reads what may follow the tunnel's trailer: an error, or its end.
func (a *answer) end(f *wire.Frame) error {
	switch err := a.tunnel.Receive(f); {
	case errors.Is(err, io.EOF) && a.ended:
		return io.EOF
	case errors.Is(err, io.EOF):
		return errors.New("the agent ended the request in the middle of its answer")
	case err != nil:
		return fmt.Errorf("the agent's connection broke: %w", err)
	}
	defer f.Free()
	m, ok := f.Connect.GetMsg().(*tunnel.ConnectRequest_Error)
	if !ok {
		return errOrder
	}
	return failed(m.Error)
}

// failed is the agent's own error. It is made for users: it says, for example,
// that the cluster cannot be reached.
func failed(e *tunnel.Error) error {
	return fmt.Errorf("the agent says: %w", status.ErrorProto(e.GetStatus()))
}
