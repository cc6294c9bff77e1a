package wire

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"kasgen/internal/kasrpc/grpctool"
	"kasgen/internal/kasrpc/prototool"
	"kasgen/internal/kasrpc/tunnel"
)

// sizes cross every boundary of a varint's length.
var sizes = []int{0, 1, 100, 127, 128, 129, 16383, 16384, 32768, 65536, 1 << 21}

func TestChunkIsWhatGeneratedCodeWrites(t *testing.T) {
	t.Parallel()
	for _, upgrade := range []bool{false, true} {
		for _, n := range sizes {
			payload := bytes.Repeat([]byte{7}, n)
			h := &grpctool.HttpRequest{Message: &grpctool.HttpRequest_Data_{Data: &grpctool.HttpRequest_Data{Data: payload}}}
			if upgrade {
				h.Message = &grpctool.HttpRequest_UpgradeData_{UpgradeData: &grpctool.HttpRequest_UpgradeData{Data: payload}}
			}
			got, err := NewCodec().Marshal(&Chunk{Upgrade: upgrade, Payload: mem.SliceBuffer(payload)})
			if err != nil {
				t.Fatal(err)
			}
			var c tunnel.ConnectResponse
			if err := proto.Unmarshal(got.Materialize(), &c); err != nil {
				t.Fatal(err)
			}
			var back grpctool.HttpRequest
			if err := proto.Unmarshal(c.GetMessage().GetData(), &back); err != nil {
				t.Fatal(err)
			}
			if !proto.Equal(h, &back) { // a diff of megabytes would say no more
				t.Errorf("upgrade=%t, %d bytes: generated code reads something else", upgrade, n)
			}
		}
	}
}

// split cuts b into buffers of n bytes, as DATA frames do.
func split(b []byte, n int) mem.BufferSlice {
	var s mem.BufferSlice
	for len(b) > n {
		s, b = append(s, mem.SliceBuffer(b[:n])), b[n:]
	}
	return append(s, mem.SliceBuffer(b))
}

func message(t testing.TB, h *grpctool.HttpResponse) []byte {
	t.Helper()
	inner, err := proto.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	outer, err := proto.Marshal(&tunnel.ConnectRequest{Msg: &tunnel.ConnectRequest_Message{Message: &tunnel.Message{Data: inner}}})
	if err != nil {
		t.Fatal(err)
	}
	return outer
}

func TestFrameReadsData(t *testing.T) {
	t.Parallel()
	for _, upgrade := range []bool{false, true} {
		for _, n := range sizes {
			payload := make([]byte, n)
			for i := range payload {
				payload[i] = byte(i * 7)
			}
			h := &grpctool.HttpResponse{Message: &grpctool.HttpResponse_Data_{Data: &grpctool.HttpResponse_Data{Data: payload}}}
			if upgrade {
				h.Message = &grpctool.HttpResponse_UpgradeData_{UpgradeData: &grpctool.HttpResponse_UpgradeData{Data: payload}}
			}
			wire := message(t, h)
			for _, cut := range []int{1, 3, 16384, len(wire)} {
				if n > 1000 && cut < 100 { // slow, and shows nothing new
					continue
				}
				var f Frame
				if err := NewCodec().Unmarshal(split(wire, cut), &f); err != nil {
					t.Fatal(err)
				}
				var got bytes.Buffer
				if _, err := f.WriteTo(&got, nil); err != nil {
					t.Fatal(err)
				}
				if !f.IsData() || f.Upgrade != upgrade || f.Len() != n || !bytes.Equal(got.Bytes(), payload) {
					t.Errorf("upgrade=%t, %d bytes cut at %d: data=%t upgrade=%t len=%d", upgrade, n, cut, f.IsData(), f.Upgrade, f.Len())
				}
				f.Free()
			}
		}
	}
}

func TestFrameReadsTheRest(t *testing.T) {
	t.Parallel()
	header := &grpctool.HttpResponse{Message: &grpctool.HttpResponse_Header_{Header: &grpctool.HttpResponse_Header{
		Response: &prototool.HttpResponse{StatusCode: 200, Header: map[string]*prototool.Values{"A": {Value: []string{"b"}}}}}}}
	var f Frame
	if err := f.unmarshal(split(message(t, header), 5)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(header, f.HTTP, protocmp.Transform()); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	descriptor := &tunnel.ConnectRequest{Msg: &tunnel.ConnectRequest_Descriptor_{Descriptor_: &tunnel.Descriptor{}}}
	b, err := proto.Marshal(descriptor)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.unmarshal(split(b, 100)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(descriptor, f.Connect, protocmp.Transform()); diff != "" {
		t.Errorf("descriptor (-want +got):\n%s", diff)
	}
	if err := f.unmarshal(nil); err == nil {
		t.Error("an empty message was accepted")
	}
}

// FuzzFrame holds the fast path to what generated code reads.
func FuzzFrame(f *testing.F) {
	for _, n := range []int{0, 1, 200} {
		f.Add(message(f, &grpctool.HttpResponse{Message: &grpctool.HttpResponse_Data_{Data: &grpctool.HttpResponse_Data{Data: make([]byte, n)}}}))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var fast, slow Frame
		errFast, errSlow := fast.unmarshal(split(b, 4)), slow.unmarshalSlow(split(b, 100))
		if (errFast == nil) != (errSlow == nil) {
			t.Fatalf("fast says %v, generated code %v", errFast, errSlow)
		}
		if errFast != nil {
			return
		}
		var a, c bytes.Buffer
		fast.WriteTo(&a, nil)
		slow.WriteTo(&c, nil)
		if fast.IsData() != slow.IsData() || fast.Upgrade != slow.Upgrade || !bytes.Equal(a.Bytes(), c.Bytes()) {
			t.Fatalf("fast %+v, generated code %+v", fast, slow)
		}
	})
}
