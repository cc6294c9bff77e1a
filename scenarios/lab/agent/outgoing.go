package agent

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"kasgen/internal/kasrpc/grpctool"
	"kasgen/internal/kasrpc/prototool"
)

const (
	// chunkSize is the most bytes of a body in one message: agentk's buffers.
	chunkSize = 32 << 10
	// headRoom holds two tags of a byte and two lengths of up to 21 bits.
	headRoom   = 2 * (1 + 3)
	bufferSize = headRoom + chunkSize
)

var errGone = errors.New("kas has ended the stream")

// outgoing writes the messages of one answer.
type outgoing struct {
	send   func([]byte) bool
	buffer *[]byte
}

func (o *outgoing) head(r *http.Response) error {
	header := make(map[string]*prototool.Values, len(r.Header))
	for name, values := range r.Header {
		header[name] = &prototool.Values{Value: values}
	}
	return o.message(&grpctool.HttpResponse{Message: &grpctool.HttpResponse_Header_{
		Header: &grpctool.HttpResponse_Header{Response: &prototool.HttpResponse{
			StatusCode: int32(r.StatusCode),
			Status:     r.Status,
			Header:     header,
		}},
	}})
}

func (o *outgoing) trailer() error {
	return o.message(&grpctool.HttpResponse{Message: &grpctool.HttpResponse_Trailer_{
		Trailer: &grpctool.HttpResponse_Trailer{},
	}})
}

func (o *outgoing) message(m *grpctool.HttpResponse) error {
	data, err := proto.Marshal(m)
	if err != nil {
		return fmt.Errorf("writing the answer: %w", err)
	}
	if !o.send(data) {
		return errGone
	}
	return nil
}

// copy sends what r gives, each piece as soon as it is there, in messages of
// the kind. The buffer may be used again when send has returned: the message
// has been compressed by then.
func (o *outgoing) copy(kind protowire.Number, r io.Reader) error {
	buffer := *o.buffer
	for {
		n, err := r.Read(buffer[headRoom:])
		if n > 0 && !o.send(chunk(kind, buffer, n)) {
			return errGone
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("reading the answer: %w", err)
		}
	}
}

// chunk writes the head of HttpResponse{data{payload}} or of its upgrade_data
// in front of the n bytes of payload after the head room.
func chunk(kind protowire.Number, buffer []byte, n int) []byte {
	const payload protowire.Number = 1
	var room [headRoom]byte
	inner := protowire.SizeTag(payload) + protowire.SizeBytes(n)
	head := protowire.AppendTag(room[:0], kind, protowire.BytesType)
	head = protowire.AppendVarint(head, uint64(inner))
	head = protowire.AppendTag(head, payload, protowire.BytesType)
	head = protowire.AppendVarint(head, uint64(n))
	start := headRoom - len(head)
	copy(buffer[start:], head)
	return buffer[start : headRoom+n]
}
