package wire

import (
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// Field numbers of the messages that are nested in a tunnel.
const (
	connectResponseMessage = 2 // ConnectResponse.message
	connectRequestMessage  = 3 // ConnectRequest.message
	messageData            = 1 // Message.data
	httpHeader             = 1 // HttpRequest.header, HttpResponse.header
	httpData               = 2
	httpTrailer            = 3
	httpUpgradeData        = 4
	dataData               = 1 // Data.data, UpgradeData.data
)

// Chunk is bytes on their way to an agent:
// ConnectResponse{message{HttpRequest{data{payload}}}}, or upgrade_data in
// place of data. Sending takes over one reference of Payload.
type Chunk struct {
	Upgrade bool
	Payload mem.Buffer
}

// marshal prepends the head; the payload is not copied.
func (c *Chunk) marshal() mem.BufferSlice {
	field := protowire.Number(httpData)
	if c.Upgrade {
		field = httpUpgradeData
	}
	n := c.Payload.Len()
	data := nested(dataData, n)
	http := nested(field, data)
	message := nested(messageData, http)
	head := make([]byte, 0, 32)
	head = appendHead(head, connectResponseMessage, message)
	head = appendHead(head, messageData, http)
	head = appendHead(head, field, data)
	head = appendHead(head, dataData, n)
	return mem.BufferSlice{mem.SliceBuffer(head), c.Payload}
}

// nested is the size of a field of n bytes with its tag and length.
func nested(field protowire.Number, n int) int {
	return protowire.SizeTag(field) + protowire.SizeBytes(n)
}

func appendHead(b []byte, field protowire.Number, n int) []byte {
	b = protowire.AppendTag(b, field, protowire.BytesType)
	return protowire.AppendVarint(b, uint64(n))
}
