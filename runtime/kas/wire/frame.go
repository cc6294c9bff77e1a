package wire

import (
	"errors"
	"fmt"
	"io"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"kasgen/internal/kasrpc/grpctool"
	"kasgen/internal/kasrpc/tunnel"
)

// Frame is one message from an agent. Exactly one of Connect, HTTP and the
// bytes that WriteTo writes is there.
type Frame struct {
	// Connect is a message of the tunnel itself: descriptor, header, trailer
	// or error.
	Connect *tunnel.ConnectRequest
	// HTTP is a header or trailer of the response that travels in the tunnel.
	HTTP *grpctool.HttpResponse
	// Upgrade says that the bytes are upgrade_data, not data.
	Upgrade bool

	payload      mem.BufferSlice // reference held until Free
	offset, size int
}

// IsData says whether the frame carries bytes of a body or an upgraded stream.
func (f *Frame) IsData() bool { return f.Connect == nil && f.HTTP == nil }

// Len is the number of bytes that WriteTo writes.
func (f *Frame) Len() int { return f.size }

// Free gives the payload back. The frame may be used again for receiving.
func (f *Frame) Free() {
	f.payload.Free()
	*f = Frame{}
}

// Bytes is the payload, if it lies in one piece. It is valid until Free.
func (f *Frame) Bytes() (p []byte, whole bool) {
	if f.size == 0 {
		return nil, true
	}
	if len(f.payload) != 1 {
		return nil, false
	}
	return f.payload[0].ReadOnlyData()[f.offset:], true
}

// Skip drops the first n bytes of the payload.
func (f *Frame) Skip(n int) { f.offset, f.size = f.offset+n, f.size-n }

// WriteTo writes the payload in one write: a message lies in several buffers,
// some of a few bytes, and each would be a system call or a TLS record.
// scratch, where it is large enough, is what they are put together in.
func (f *Frame) WriteTo(w io.Writer, scratch []byte) (int, error) {
	whole := scratch[:0]
	skip, left := f.offset, f.size
	for _, b := range f.payload {
		p := b.ReadOnlyData()
		if skip >= len(p) {
			skip -= len(p)
			continue
		}
		p = p[skip:min(len(p), skip+left)]
		skip = 0
		if len(p) == f.size {
			return w.Write(p)
		}
		whole = append(whole, p...)
		if left -= len(p); left == 0 {
			break
		}
	}
	return w.Write(whole)
}

// headSize is more than the four tags and lengths before a payload can take.
const headSize = 4 * (2 + 5)

func (f *Frame) unmarshal(data mem.BufferSlice) error {
	*f = Frame{}
	var head [headSize]byte
	n := peek(data, head[:])
	if field, offset, ok := dataOffset(head[:n], data.Len()); ok {
		data.Ref()
		f.payload, f.offset, f.size = data, offset, data.Len()-offset
		f.Upgrade = field == httpUpgradeData
		return nil
	}
	return f.unmarshalSlow(data)
}

// peek copies the first bytes of data.
func peek(data mem.BufferSlice, into []byte) int {
	n := 0
	for _, b := range data {
		n += copy(into[n:], b.ReadOnlyData())
		if n == len(into) {
			break
		}
	}
	return n
}

// dataOffset recognises a message that is nothing but nested data, and says
// where the payload begins. total is the size of the whole message.
func dataOffset(head []byte, total int) (field protowire.Number, offset int, ok bool) {
	for depth, want := range [...]protowire.Number{connectRequestMessage, messageData, 0, dataData} {
		num, typ, n := protowire.ConsumeTag(head[offset:])
		if n < 0 || typ != protowire.BytesType {
			return 0, 0, false
		}
		offset += n
		size, n := protowire.ConsumeVarint(head[offset:])
		if n < 0 {
			return 0, 0, false
		}
		offset += n
		switch {
		case size != uint64(total-offset):
			return 0, 0, false // another field follows
		case depth == 2 && (num == httpData || num == httpUpgradeData):
			field = num
			if size == 0 {
				return field, offset, true // an empty payload is left out
			}
		case num != want:
			return 0, 0, false
		}
	}
	return field, offset, true
}

var errEmpty = errors.New("the message is empty")

func (f *Frame) unmarshalSlow(data mem.BufferSlice) error {
	buf := data.MaterializeToBuffer(mem.DefaultBufferPool())
	defer buf.Free()
	var c tunnel.ConnectRequest
	if err := proto.Unmarshal(buf.ReadOnlyData(), &c); err != nil {
		return fmt.Errorf("reading a message of the tunnel: %w", err)
	}
	m, ok := c.Msg.(*tunnel.ConnectRequest_Message)
	if !ok {
		if c.Msg == nil {
			return errEmpty
		}
		f.Connect = &c
		return nil
	}
	var h grpctool.HttpResponse
	if err := proto.Unmarshal(m.Message.GetData(), &h); err != nil {
		return fmt.Errorf("reading an HTTP message in the tunnel: %w", err)
	}
	switch v := h.Message.(type) {
	case *grpctool.HttpResponse_Data_:
		f.keep(v.Data.GetData())
	case *grpctool.HttpResponse_UpgradeData_:
		f.Upgrade = true
		f.keep(v.UpgradeData.GetData())
	case nil:
		return errEmpty
	default:
		f.HTTP = &h
	}
	return nil
}

func (f *Frame) keep(p []byte) {
	f.payload, f.size = mem.BufferSlice{mem.SliceBuffer(p)}, len(p)
}
