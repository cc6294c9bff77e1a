package proxy

import (
	"io"
	"sync"

	"google.golang.org/grpc/mem"

	"kasgen/runtime/kas/wire"
)

// chunkSize is how many bytes travel in one message to an agent. gRPC cuts
// messages into frames of 16 KiB anyway; past 64 KiB a message only makes
// others on the connection wait longer.
const chunkSize = 64 << 10

// pool lends buffers of chunkSize. gRPC's own pool would give one of a
// megabyte for it, and clears what it gives.
type pool struct{ buffers sync.Pool }

var _ mem.BufferPool = (*pool)(nil)

func newPool() *pool {
	return &pool{sync.Pool{New: func() any { b := make([]byte, chunkSize); return &b }}}
}

// Get implements mem.BufferPool; n is at most chunkSize.
func (p *pool) Get(n int) *[]byte {
	b := p.buffers.Get().(*[]byte)
	*b = (*b)[:n]
	return b
}

// Put implements mem.BufferPool.
func (p *pool) Put(b *[]byte) {
	*b = (*b)[:cap(*b)]
	p.buffers.Put(b)
}

// writeFrame writes a frame's bytes to a client.
func (p *Proxy) writeFrame(w io.Writer, f *wire.Frame) error {
	scratch := p.pool.Get(chunkSize)
	defer p.pool.Put(scratch)
	_, err := f.WriteTo(w, *scratch)
	return err
}
