// Package wire reads and writes the messages of a reverse tunnel without
// unmarshalling the bytes that they carry. A body chunk lies three messages
// deep (Connect, Message, HttpRequest or HttpResponse, Data); generated code
// would copy it at every depth. The package knows the layout of those
// messages and nothing of what is done with them. Its law: the bytes on the
// wire are those that generated code would write, and what it does not
// recognise at once it gives to generated code.
package wire

import (
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

// Codec is gRPC's "proto" codec, which also takes *Chunk to send and *Frame to
// receive.
type Codec struct {
	fallback encoding.CodecV2
}

// NewCodec is a Codec over the registered one.
func NewCodec() Codec { return Codec{fallback: encoding.GetCodecV2(proto.Name)} }

// Name is "proto": nothing on the wire tells the codec.
func (Codec) Name() string { return proto.Name }

// Marshal encodes v.
func (c Codec) Marshal(v any) (mem.BufferSlice, error) {
	if chunk, ok := v.(*Chunk); ok {
		return chunk.marshal(), nil
	}
	return c.fallback.Marshal(v)
}

// Unmarshal decodes data into v. A *Frame keeps a reference to data: see
// Frame.Free.
func (c Codec) Unmarshal(data mem.BufferSlice, v any) error {
	if frame, ok := v.(*Frame); ok {
		return frame.unmarshal(data)
	}
	return c.fallback.Unmarshal(data, v)
}
