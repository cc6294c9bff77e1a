package balancer

import "golang.org/x/crypto/cryptobyte"

// HelloState says how far the first bytes are a TLS ClientHello.
type HelloState int

// The states of a ClientHello.
const (
	HelloMore HelloState = iota // so far it may be one
	HelloNone                   // it is none
	HelloDone
)

// Hello is what a ClientHello says about where it wants to go.
type Hello struct {
	ServerName string
	ALPN       []string
}

const (
	recordHeader = 5
	// maxRecord is the longest record that a peer may send: 2^14 bytes and
	// the allowance that TLS 1.2 gives to compression and encryption.
	maxRecord     = 1<<14 + 2048
	typeHandshake = 22
	typeHello     = 1
)

// ParseHello reads the ClientHello at the beginning of b, which may be spread
// over several records.
func ParseHello(b []byte) (Hello, HelloState) {
	message, state := handshake(b)
	if state != HelloDone {
		return Hello{}, state
	}
	h, ok := parseHello(message)
	if !ok {
		return Hello{}, HelloNone
	}
	return h, HelloDone
}

// handshake puts the fragments of the first handshake message together.
func handshake(b []byte) ([]byte, HelloState) {
	var joined []byte
	for {
		if len(b) > 0 && b[0] != typeHandshake || len(b) > 1 && b[1] != 3 {
			return nil, HelloNone
		}
		if len(b) < recordHeader {
			return nil, HelloMore
		}
		size := int(b[3])<<8 | int(b[4])
		if size == 0 || size > maxRecord {
			return nil, HelloNone
		}
		fragment := b[recordHeader:min(len(b), recordHeader+size)]
		whole := len(fragment) == size
		if joined == nil {
			joined = fragment[:len(fragment):len(fragment)]
		} else {
			joined = append(joined, fragment...)
		}
		if len(joined) > 0 && joined[0] != typeHello {
			return nil, HelloNone
		}
		if len(joined) >= 4 {
			length := int(joined[1])<<16 | int(joined[2])<<8 | int(joined[3])
			if length > 1<<16 {
				return nil, HelloNone
			}
			if len(joined) >= 4+length {
				return joined[4 : 4+length], HelloDone
			}
		}
		if !whole {
			return nil, HelloMore
		}
		b = b[recordHeader+size:]
	}
}

// parseHello reads RFC 8446, section 4.1.2, as far as the two extensions.
func parseHello(message []byte) (Hello, bool) {
	var h Hello
	s := cryptobyte.String(message)
	var session, suites, compression, extensions cryptobyte.String
	if !s.Skip(2+32) || !s.ReadUint8LengthPrefixed(&session) ||
		!s.ReadUint16LengthPrefixed(&suites) || !s.ReadUint8LengthPrefixed(&compression) {
		return h, false
	}
	if s.Empty() {
		return h, true
	}
	if !s.ReadUint16LengthPrefixed(&extensions) {
		return h, false
	}
	for !extensions.Empty() {
		var kind uint16
		var data cryptobyte.String
		if !extensions.ReadUint16(&kind) || !extensions.ReadUint16LengthPrefixed(&data) {
			return h, false
		}
		ok := true
		switch kind {
		case 0: // server_name, RFC 6066
			h.ServerName, ok = serverName(data)
		case 16: // ALPN, RFC 7301
			h.ALPN, ok = protocols(data)
		}
		if !ok {
			return h, false
		}
	}
	return h, true
}

func serverName(data cryptobyte.String) (string, bool) {
	var list cryptobyte.String
	if !data.ReadUint16LengthPrefixed(&list) {
		return "", false
	}
	for !list.Empty() {
		var kind uint8
		var name cryptobyte.String
		if !list.ReadUint8(&kind) || !list.ReadUint16LengthPrefixed(&name) {
			return "", false
		}
		if kind == 0 {
			return string(name), true
		}
	}
	return "", true
}

func protocols(data cryptobyte.String) ([]string, bool) {
	var list cryptobyte.String
	if !data.ReadUint16LengthPrefixed(&list) {
		return nil, false
	}
	var out []string
	for !list.Empty() {
		var name cryptobyte.String
		if !list.ReadUint8LengthPrefixed(&name) || name.Empty() {
			return nil, false
		}
		out = append(out, string(name))
	}
	return out, true
}
