package vhost

import (
	"errors"
	"strings"
)

var errURI = errors.New("the path cannot be read")

// target is the request target as nginx takes it apart.
type target struct {
	unparsed string // path and query as they came
	uri      string // the path, decoded and normalised
	args     string // the query, as it came
	quoted   bool   // something in the path was percent-encoded
	noPath   bool   // it began with the query
}

// parseTarget reads a request target: absolute forms lose their scheme and
// host.
func parseTarget(raw string, mergeSlashes bool) (target, error) {
	if !strings.HasPrefix(raw, "/") {
		_, rest, ok := strings.Cut(raw, "://")
		if !ok {
			return target{}, errURI
		}
		if i := strings.IndexAny(rest, "/?"); i < 0 {
			raw = "/"
		} else {
			raw = rest[i:]
		}
	}
	t := target{unparsed: raw}
	path := raw
	if path[0] == '?' {
		path, t.noPath = "/"+path, true
	}
	if i := strings.IndexByte(path, '#'); i >= 0 {
		path = path[:i]
	}
	path, t.args, _ = strings.Cut(path, "?")
	t.quoted = strings.IndexByte(path, '%') >= 0
	var err error
	t.uri, err = normalise(path, mergeSlashes)
	return t, err
}

// segment is what has been seen since the last slash.
type segment int

const (
	slash segment = iota
	dot
	dots
	usual
)

// normalise decodes %XX, merges slashes and resolves dot segments, encoded ones
// as well, in one pass as nginx does.
func normalise(path string, mergeSlashes bool) (string, error) {
	out := make([]byte, 1, len(path)+1)
	out[0] = '/'
	state := slash
	up := func() error {
		// Take out "/name/..".
		out = out[:len(out)-len("/..")]
		i := strings.LastIndexByte(string(out), '/')
		if i < 0 {
			return errURI
		}
		out = out[:i+1]
		return nil
	}
	for i := 1; i < len(path); i++ {
		c, literal := path[i], false
		if c == '%' {
			if i+2 >= len(path) {
				return "", errURI
			}
			high, low := unhex(path[i+1]), unhex(path[i+2])
			if high < 0 || low < 0 {
				return "", errURI
			}
			c = byte(high<<4 | low)
			i += 2
			if c == 0 {
				return "", errURI
			}
			literal = c == '%' || c == '#' || c == '?'
		}
		if c < 0x20 && path[i] == c || path[i] == 0x7f {
			return "", errURI
		}
		switch {
		case c == '/' && !literal:
			switch state {
			case slash:
				if mergeSlashes {
					continue
				}
				out = append(out, c)
			case dot:
				out = out[:len(out)-1]
			case dots:
				if err := up(); err != nil {
					return "", err
				}
			case usual:
				out = append(out, c)
			}
			state = slash
			continue
		case c == '.' && state == slash:
			state = dot
		case c == '.' && state == dot:
			state = dots
		default:
			state = usual
		}
		out = append(out, c)
	}
	switch state {
	case dot:
		out = out[:len(out)-1]
	case dots:
		if err := up(); err != nil {
			return "", err
		}
	case slash, usual:
	}
	return string(out), nil
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

const (
	inURI  = " \"#%<>?\\^`{|}"
	inArgs = inURI + "&+"
)

// escape writes controls, bytes beyond ASCII and those of special as %XX.
func escape(s, special string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || strings.IndexByte(special, c) >= 0 {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// validHost is the host of a Host header without its port, in lower case; not
// ok where nginx would not take it.
func validHost(host string) (string, bool) {
	end, rest, literal := len(host), false, false
	dotAt := -2
	for i := range len(host) {
		switch c := host[i]; {
		case c == '.':
			if dotAt == i-1 {
				return "", false
			}
			dotAt = i
		case c == ':' && !rest && !literal:
			end, rest = i, true
		case c == '[' && i == 0:
			literal = true
		case c == ']' && literal && !rest:
			end, rest = i+1, true
		case c == '/' || c <= 0x20 || c == 0x7f:
			return "", false
		}
	}
	if dotAt == end-1 {
		end--
	}
	if end <= 0 {
		return "", false
	}
	return strings.ToLower(host[:end]), true
}
