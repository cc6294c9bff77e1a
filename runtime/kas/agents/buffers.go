package agents

import (
	"slices"
	"sync"

	"google.golang.org/grpc/mem"
)

// buffers lends buffers by size. It differs from gRPC's own pool in one point:
// it does not clear what it lends. Whoever borrows a buffer writes all of the
// length that it uses, and clearing cost a tenth of a bulk transfer.
type buffers struct {
	sizes []int
	pools []sync.Pool
}

var _ mem.BufferPool = (*buffers)(nil)

// newBuffers has the sizes that occur: small messages, one frame of HTTP/2, an
// agent's chunk with and without its envelope.
func newBuffers() *buffers {
	b := &buffers{sizes: []int{256, 4 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10}}
	b.pools = make([]sync.Pool, len(b.sizes))
	return b
}

// Get implements mem.BufferPool.
func (b *buffers) Get(n int) *[]byte {
	i, _ := slices.BinarySearch(b.sizes, n)
	if i == len(b.sizes) {
		p := make([]byte, n)
		return &p
	}
	p, ok := b.pools[i].Get().(*[]byte)
	if !ok {
		made := make([]byte, b.sizes[i])
		p = &made
	}
	*p = (*p)[:n]
	return p
}

// Put implements mem.BufferPool.
func (b *buffers) Put(p *[]byte) {
	if i, ok := slices.BinarySearch(b.sizes, cap(*p)); ok {
		b.pools[i].Put(p)
	}
}
