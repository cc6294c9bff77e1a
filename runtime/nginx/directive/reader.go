// Package directive is what the readers of nginx's blocks share: how a fault is
// told, how many arguments a directive has, and the forms of numbers, times,
// sizes, networks and texts with variables. It knows no directive. Its law:
// what nginx would refuse is refused with its place, and a reader goes on, so
// that all faults are told at once.
package directive

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"time"

	"kasgen/internal/diag"
	"kasgen/internal/nginxconf"
)

// Finding codes of nginx's meaning. Syntax has codes of its own.
const (
	Unknown     = "KAS2401" // a directive or parameter that nginx or this runtime does not have there
	Unsupported = "KAS2402" // nginx has it, the embedded runtime not
	Arguments   = "KAS2403" // too few, too many or wrong arguments
	Reference   = "KAS2404" // a variable or an upstream that does not exist
	Duplicate   = "KAS2405" // a name, address or directive twice
	Incomplete  = "KAS2406" // a block that cannot work
)

// Reader gathers findings.
type Reader struct{ Findings diag.Findings }

// Add adds a fault.
func (r *Reader) Add(code string, pos diag.Pos, what, why, fix string) {
	r.Findings.Add(diag.Finding{Code: code, Pos: pos, What: what, Why: why, Fix: fix})
}

// Warn adds what does no harm by itself.
func (r *Reader) Warn(code string, pos diag.Pos, what, why, fix string) {
	r.Findings.Add(diag.Finding{Code: code, Severity: diag.Warning, Pos: pos, What: what, Why: why, Fix: fix})
}

// Unknown is a word that has no place where it is.
func (r *Reader) Unknown(w nginxconf.Word, where string, known []string) {
	fix := "remove it"
	if n := diag.Nearest(w.Value, known); n != "" {
		fix = fmt.Sprintf("did you mean %q?", n)
	}
	r.Add(Unknown, w.Pos, fmt.Sprintf("unknown directive or parameter %q in %s", w.Value, where),
		"the embedded runtime runs only what it knows, and never skips a line", fix)
}

// Unsupported is what nginx has and the embedded runtime not.
func (r *Reader) Unsupported(w nginxconf.Word, why, fix string) {
	r.Add(Unsupported, w.Pos, fmt.Sprintf("%q is not supported", w.Value), why, fix)
}

// Arguments is a directive or an argument in a wrong form.
func (r *Reader) Arguments(w nginxconf.Word, format string, args ...any) {
	r.Add(Arguments, w.Pos, fmt.Sprintf(format, args...), "nginx would refuse the line", "see nginx's documentation of "+w.Value)
}

// Reference is a name that nobody defines; known are those that somebody does.
func (r *Reader) Reference(w nginxconf.Word, what, name string, known []string) {
	fix := "define it"
	if n := diag.Nearest(name, known); n != "" {
		fix = fmt.Sprintf("did you mean %q?", n)
	}
	r.Add(Reference, w.Pos, what, "the name is not defined in this file, or the embedded runtime does not have it", fix)
}

// Twice is a directive that a block has already.
func (r *Reader) Twice(w nginxconf.Word) {
	r.Add(Duplicate, w.Pos, fmt.Sprintf("%q is duplicate", w.Value), "nginx takes it once in a block", "remove one of them")
}

// Simple checks that d has no block and from least to most arguments; most -1
// is any number.
func (r *Reader) Simple(d *nginxconf.Directive, least, most int) bool {
	n := len(d.Args)
	switch {
	case d.Block != nil:
		r.Arguments(d.Name, "directive %q takes no block", d.Name.Value)
	case n < least || most >= 0 && n > most:
		r.Arguments(d.Name, "invalid number of arguments in %q: %d", d.Name.Value, n)
	default:
		return true
	}
	return false
}

// Block checks that d has a block and from least to most arguments.
func (r *Reader) Block(d *nginxconf.Directive, least, most int) bool {
	switch n := len(d.Args); {
	case d.Block == nil:
		r.Arguments(d.Name, "directive %q has no opening \"{\"", d.Name.Value)
	case n < least || most >= 0 && n > most:
		r.Arguments(d.Name, "invalid number of arguments in %q: %d", d.Name.Value, n)
	default:
		return true
	}
	return false
}

// Number is text, a part of w, as a number from least to most.
func (r *Reader) Number(w nginxconf.Word, text string, least, most int) int {
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		r.Arguments(w, "%q is not a number from %d to %d", text, least, most)
		return least
	}
	return n
}

// Flag is a directive that is on or off.
func (r *Reader) Flag(d *nginxconf.Directive) bool {
	if !r.Simple(d, 1, 1) {
		return false
	}
	switch d.Args[0].Value {
	case "on":
		return true
	case "off":
	default:
		r.Arguments(d.Args[0], "%q is not on or off", d.Args[0].Value)
	}
	return false
}

// Duration is w as a time.
func (r *Reader) Duration(w nginxconf.Word) time.Duration {
	d, err := ParseDuration(w.Value)
	if err != nil {
		r.Arguments(w, "%q is not a time: %v", w.Value, err)
	}
	return d
}

// Size is w as a number of bytes, with k, m and, as offsets have it, g.
func (r *Reader) Size(w nginxconf.Word, least int64) int64 {
	text, shift := w.Value, 0
	if n := len(text); n > 0 {
		switch text[n-1] {
		case 'k', 'K':
			text, shift = text[:n-1], 10
		case 'm', 'M':
			text, shift = text[:n-1], 20
		case 'g', 'G':
			text, shift = text[:n-1], 30
		}
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil || n > math.MaxInt64>>shift || int64(n)<<shift < least {
		r.Arguments(w, "%q is not a size", w.Value)
		return least
	}
	return int64(n) << shift
}

// Network adds the network or the address that w is.
func (r *Reader) Network(to *[]netip.Prefix, w nginxconf.Word) {
	p, err := netip.ParsePrefix(w.Value)
	if err != nil {
		var a netip.Addr
		if a, err = netip.ParseAddr(w.Value); err == nil {
			p = netip.PrefixFrom(a, a.BitLen())
		}
	}
	if err != nil {
		r.Arguments(w, "%q is not an address or a network", w.Value)
		return
	}
	*to = append((*to)[:len(*to):len(*to)], p.Masked())
}
