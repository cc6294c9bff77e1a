package proxy

import (
	"io"

	"kasgen/runtime/kas/wire"
)

// chunkSize is how many bytes travel in one message to an agent. gRPC cuts
// messages into frames of 16 KiB anyway; past 64 KiB a message only makes
// others on the connection wait longer.
const chunkSize = 64 << 10

// writeFrame writes a frame's bytes to a client.
func (p *Proxy) writeFrame(w io.Writer, f *wire.Frame) error {
	scratch := p.pool.Get(chunkSize)
	defer p.pool.Put(scratch)
	_, err := f.WriteTo(w, *scratch)
	return err
}
