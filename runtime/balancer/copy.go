package balancer

import "io"

const (
	// copySize holds two TLS records of the longest kind.
	copySize = 32 << 10
	// fullRecord is what a TLS peer with much to say sends at a time.
	fullRecord = 16 << 10
	// idleSize is what a direction out of TLS holds while it waits: a
	// connection that is silent keeps no copy buffer.
	idleSize = 1 << 10
)

// copy moves bytes through user space, where TLS or a connection that is not
// TCP leaves no other way.
func (r *relay) copy(src, dst *side, moved *int64) error {
	if src.tcp != nil {
		if handled, err := r.copyTCP(src, dst, moved); handled {
			return err
		}
	}
	idle := make([]byte, idleSize)
	for {
		n, err := r.pass(src, dst, moved, idle)
		if err == nil && n == len(idle) {
			err = r.burst(src, dst, moved) // there is more than that
		}
		if err != nil {
			return err
		}
	}
}

// burst uses a big buffer for as long as full records come.
func (r *relay) burst(src, dst *side, moved *int64) error {
	pool := &r.session.server.buffers
	big := pool.Get().(*[]byte)
	defer pool.Put(big)
	for {
		n, err := r.pass(src, dst, moved, *big)
		if err != nil || n < fullRecord-idleSize {
			return err
		}
	}
}

// pass reads once and writes that.
func (r *relay) pass(src, dst *side, moved *int64, buffer []byte) (int, error) {
	n, err := src.conn.Read(buffer)
	if n > 0 {
		return n, r.write(src, dst, moved, buffer[:n]) // an error of the read comes again with the next
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return 0, err
}

// write gives dst what was read from src.
func (r *relay) write(src, dst *side, moved *int64, b []byte) error {
	src.last.Store(r.now())
	dst.writing.Store(true)
	n, err := dst.conn.Write(b)
	dst.writing.Store(false)
	dst.last.Store(r.now())
	*moved += int64(n)
	r.session.server.stats.copied.Add(int64(n))
	if err != nil {
		return writeError{err}
	}
	return nil
}
