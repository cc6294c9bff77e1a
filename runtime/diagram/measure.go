package diagram

import "strings"

// columns is how many columns of a terminal, or widths of a monospaced
// character, a text takes. Ideographs take two.
func columns(s string) int {
	n := 0
	for _, r := range s {
		n++
		if wideRune(r) {
			n++
		}
	}
	return n
}

// wideRune says whether a character is twice as wide (UAX 11, wide and
// fullwidth, as far as host names and paths have them).
func wideRune(r rune) bool {
	switch {
	case r < 0x1100:
		return false
	case r <= 0x115f, r >= 0x2e80 && r <= 0xa4cf, r >= 0xac00 && r <= 0xd7a3, r >= 0xf900 && r <= 0xfaff,
		r >= 0xfe30 && r <= 0xfe6f, r >= 0xff00 && r <= 0xff60, r >= 0xffe0 && r <= 0xffe6, r >= 0x1f300 && r <= 0x1faff, r >= 0x20000 && r <= 0x3fffd:
		return true
	default:
		return false
	}
}

// wrap breaks a text into lines of at most width columns, at spaces where there
// are some. Runs of spaces inside a line stay.
func wrap(s string, width int) []string {
	width = max(width, 1)
	var lines []string
	for columns(s) > width {
		head := cut(s, width)
		if i := strings.LastIndexByte(head, ' '); i > 0 && !strings.HasPrefix(s[len(head):], " ") {
			head = head[:i]
		}
		lines = append(lines, strings.TrimRight(head, " "))
		s = strings.TrimLeft(s[len(head):], " ")
	}
	return append(lines, s)
}

// cut is the beginning of a text, as much as fits.
func cut(s string, width int) string {
	n := 0
	for i, r := range s {
		n++
		if wideRune(r) {
			n++
		}
		if n > width {
			return s[:i]
		}
	}
	return s
}
