package readahead

import (
	"errors"
	"net"
	"os"
	"time"
)

// A connection that waits does so with a small buffer, one on which bytes flow
// with a large one, which it gives back after busyFor without a byte. Most
// upgraded streams are idle: a shell at its prompt, a forwarded port that
// nobody uses.
const (
	idleBuffer = 512
	busyFor    = 500 * time.Millisecond
)

// Lender lends buffers for bytes that flow.
type Lender interface {
	Get(n int) *[]byte
	Put(*[]byte)
}

// Pump reads c to its end and gives emit all that it reads. It is for
// connections below which nothing tells when there is something to read, which
// is to say TLS. emit owns the buffer and, where it is lent, gives it back. The
// error is that of emit or of the read; io.EOF is the end.
func Pump(c net.Conn, chunk int, lender Lender, emit func(b *[]byte, lent bool) error) error {
	for {
		small := make([]byte, idleBuffer) // a new one each time: emit owns it
		n, err := c.Read(small)
		if n > 0 {
			small = small[:n]
			if err := emit(&small, false); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
		if err := pumpBusy(c, chunk, lender, emit); err != nil {
			return err
		}
	}
}

// pumpBusy returns nil when nothing has come for a while.
func pumpBusy(c net.Conn, chunk int, lender Lender, emit func(*[]byte, bool) error) error {
	for {
		if err := c.SetReadDeadline(time.Now().Add(busyFor)); err != nil {
			return err
		}
		// One deadline serves many reads: a timer for each would cost more
		// than the read.
		for range 64 {
			b := lender.Get(chunk)
			n, err := c.Read(*b)
			if n == 0 {
				lender.Put(b)
			} else {
				*b = (*b)[:n]
				if err := emit(b, true); err != nil {
					return err
				}
			}
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return c.SetReadDeadline(time.Time{})
			}
			if err != nil {
				return err
			}
		}
	}
}

// Get implements Lender; n is at most 64 KiB.
func (p *Pool) Get(n int) *[]byte {
	b, ok := p.buffers.Get().(*[]byte)
	if !ok {
		made := make([]byte, size)
		b = &made
	}
	*b = (*b)[:n]
	return b
}

// Put implements Lender.
func (p *Pool) Put(b *[]byte) {
	*b = (*b)[:cap(*b)]
	p.buffers.Put(b)
}
