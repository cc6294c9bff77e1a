package cutthrough

import "encoding/binary"

// HTTP/2's frames (RFC 9113, sections 4.1 and 6), as far as they matter here.
const (
	headerSize = 9
	// maxFrame is the largest payload that gRPC takes: it announces no other
	// SETTINGS_MAX_FRAME_SIZE than the default.
	maxFrame = 16 << 10

	frameData         = 0x0
	frameHeaders      = 0x1
	frameReset        = 0x3
	frameWindowUpdate = 0x8
	frameContinuation = 0x9

	flagEndStream  = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8

	codeFlowControl = 0x3
)

// frame is a frame's header.
type frame struct {
	length int
	kind   byte
	flags  byte
	id     uint32
}

func parseFrame(p []byte) frame {
	return frame{
		length: int(p[0])<<16 | int(p[1])<<8 | int(p[2]),
		kind:   p[3], flags: p[4],
		id: binary.BigEndian.Uint32(p[5:]) &^ (1 << 31),
	}
}

func (f frame) append(p []byte) []byte {
	p = append(p, byte(f.length>>16), byte(f.length>>8), byte(f.length), f.kind, f.flags)
	return binary.BigEndian.AppendUint32(p, f.id)
}

// appendWord appends a frame whose payload is a number: WINDOW_UPDATE or
// RST_STREAM.
func appendWord(p []byte, kind byte, id, word uint32) []byte {
	return binary.BigEndian.AppendUint32(frame{length: 4, kind: kind, id: id}.append(p), word)
}
