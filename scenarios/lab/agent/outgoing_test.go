package agent

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"kasgen/internal/kasrpc/grpctool"
)

// The head written by hand is what generated code would write.
func TestChunk(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 120, 125, 126, 127, 128, 129, 16379, 16380, 16381, 16383, 16384, chunkSize} {
		payload := bytes.Repeat([]byte{7}, n)
		for kind, message := range map[protowire.Number]*grpctool.HttpResponse{
			httpData:        {Message: &grpctool.HttpResponse_Data_{Data: &grpctool.HttpResponse_Data{Data: payload}}},
			httpUpgradeData: {Message: &grpctool.HttpResponse_UpgradeData_{UpgradeData: &grpctool.HttpResponse_UpgradeData{Data: payload}}},
		} {
			want, err := proto.Marshal(message)
			if err != nil {
				t.Fatal(err)
			}
			buffer := make([]byte, bufferSize)
			copy(buffer[headRoom:], payload)
			if got := chunk(kind, buffer, n); !bytes.Equal(want, got) {
				t.Errorf("%d bytes of kind %d: head % x, want % x", n, kind, got[:len(got)-n], want[:len(want)-n])
			}
		}
	}
}
