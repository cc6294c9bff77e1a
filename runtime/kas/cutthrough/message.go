package cutthrough

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"

	"google.golang.org/grpc/mem"
)

var (
	errFlag     = errors.New("its first byte is no flag")
	errTooLarge = errors.New("it is too large")
)

// open makes a message of a parcel and takes the parcel over.
func (m parcel) open(o *Options) (mem.Buffer, error) {
	switch {
	case m.data == nil && m.compressed:
		return nil, io.ErrUnexpectedEOF
	case m.data == nil:
		return mem.SliceBuffer(nil), nil
	case !m.compressed:
		return mem.NewBuffer(m.data, o.Pool), nil
	}
	defer o.Pool.Put(m.data)
	out, err := unzip(*m.data, o)
	if err != nil {
		return nil, err
	}
	return mem.NewBuffer(out, o.Pool), nil
}

// unzip unpacks gzip, the only compression that gRPC has here.
func unzip(p []byte, o *Options) (*[]byte, error) {
	z, ok := o.unzippers.Get().(*unzipper)
	if !ok {
		z = new(unzipper)
	}
	defer o.unzippers.Put(z)
	z.from.Reset(p)
	defer z.from.Reset(nil)
	if err := z.Reset(&z.from); err != nil {
		return nil, err
	}
	return z.readAll(unzipped(p, o.MaxMessage), o)
}

type unzipper struct {
	gzip.Reader
	from  bytes.Reader
	spare [1]byte // to read the end where there is no room
}

// unzipped is how large p says it becomes, within what it can become.
func unzipped(p []byte, limit int) int {
	const mostGain = 1032                                    // of deflate
	said := binary.LittleEndian.Uint32(p[max(0, len(p)-4):]) // a whole header has been read: there are more than 4
	return max(1, int(min(int64(said), int64(limit), mostGain*int64(len(p)))))
}

// readAll reads to the end, checksum included, into a buffer that is grown
// where expected is wrong.
func (z *unzipper) readAll(expected int, o *Options) (*[]byte, error) {
	out, n := o.Pool.Get(expected), 0
	for {
		room := (*out)[n:]
		if len(room) == 0 {
			room = z.spare[:]
		}
		m, err := z.Read(room)
		if m > 0 && n == len(*out) {
			more := o.Pool.Get(2 * n)
			copy(*more, *out)
			(*more)[n] = z.spare[0]
			o.Pool.Put(out)
			out = more
		}
		n += m
		if n > o.MaxMessage {
			err = errTooLarge
		}
		switch {
		case err == nil:
		case errors.Is(err, io.EOF): // io.ErrUnexpectedEOF is another
			*out = (*out)[:n]
			return out, nil
		default:
			o.Pool.Put(out)
			return nil, err
		}
	}
}
