package haproxyconf

import (
	"bytes"
	"fmt"

	"kasgen/internal/diag"
)

// Finding codes of this package.
const (
	codeQuote     = "KAS2201" // a quote that is not closed on its line
	codeEscape    = "KAS2202" // \x without two hexadecimal digits
	codeEnv       = "KAS2203" // $VAR inside double quotes
	codeByte      = "KAS2204" // a NUL byte or a lone carriage return
	codeTruncated = "KAS2205" // no newline at the end of the file
	codeWords     = "KAS2206" // more than 64 words
	codeSection   = "KAS2207" // a line outside a section
	codeCondition = "KAS2208" // .if, .elif, .else, .endif and messages
)

// lexer follows HAProxy's parse_line on one line.
type lexer struct {
	file string
	num  int
	line []byte // without the newline
	at   int
	fs   *diag.Findings
	bad  bool
}

func (l *lexer) pos(at int) diag.Pos {
	return diag.Pos{File: l.file, Line: l.num, Column: at + 1}
}

func (l *lexer) fault(code string, at int, why, fix, format string, args ...any) {
	l.bad = true
	l.fs.Add(diag.Finding{Code: code, Pos: l.pos(at), What: fmt.Sprintf(format, args...), Why: why, Fix: fix})
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\v' || c == '\f' }

// words is the line's words and its comment. After a fault the words are not
// to be used.
func (l *lexer) words() ([]Word, *string) {
	if n := len(l.line); n > 0 && l.line[n-1] == '\r' {
		l.line = l.line[:n-1]
	}
	var words []Word
	for {
		for l.at < len(l.line) && isSpace(l.line[l.at]) {
			l.at++
		}
		if l.at == len(l.line) {
			return words, nil
		}
		if l.line[l.at] == '#' {
			if i := bytes.IndexByte(l.line[l.at:], 0); i >= 0 {
				l.strayNUL(l.at + i)
				return nil, nil
			}
			c := string(bytes.TrimRight(l.line[l.at+1:], " \t\v\f\r"))
			return words, &c
		}
		if len(words) == MaxWords {
			l.fault(codeWords, l.at, "HAProxy cuts a line after 64 words", "split the line", "the line has more than %d words", MaxWords)
			return nil, nil
		}
		pos := l.pos(l.at)
		value := l.word()
		if l.bad {
			return nil, nil
		}
		words = append(words, Word{Value: value, Pos: pos})
	}
}

// word reads up to a space or a comment outside quotes.
func (l *lexer) word() string {
	var out []byte
	var quote byte
	quoteAt := 0
	for ; l.at < len(l.line) && !l.bad; l.at++ {
		c := l.line[l.at]
		switch {
		case c == 0:
			l.strayNUL(l.at)
		case c == '\r':
			l.fault(codeByte, l.at, "HAProxy ends the line there and drops the rest", "write \\r, or a newline", "stray carriage return")
		case quote == 0 && (isSpace(c) || c == '#'):
			return string(out)
		case c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote, quoteAt = c, l.at
		case c == '\\' && quote != '\'':
			out = append(out, l.escape(quote)...)
		case c == '$' && quote == '"':
			l.fault(codeEnv, l.at, "the value would depend on the environment of whoever starts it",
				`write the value itself, or \$ for a dollar sign`, "environment variables are not supported inside double quotes")
		default:
			out = append(out, c)
		}
	}
	if quote != 0 && !l.bad {
		l.fault(codeQuote, quoteAt, "a quote ends on its own line", fmt.Sprintf("close it with %c, or write \\%c", quote, quote), "unmatched quote %c", quote)
	}
	return string(out)
}

func (l *lexer) strayNUL(at int) {
	l.fault(codeByte, at, "HAProxy ends the line there", "remove the byte: is this a text file?", "stray NUL byte")
}

// escape resolves the escape at l.at and leaves l.at on its last byte. A
// backslash before anything that HAProxy does not know stays.
func (l *lexer) escape(quote byte) []byte {
	if l.at+1 == len(l.line) {
		return []byte{'\\'}
	}
	switch n := l.line[l.at+1]; n {
	case ' ', '\\', '#', '\'', '"':
		l.at++
		return []byte{n}
	case 't':
		l.at++
		return []byte{'\t'}
	case 'n':
		l.at++
		return []byte{'\n'}
	case 'r':
		l.at++
		return []byte{'\r'}
	case '$':
		if quote == '"' {
			l.at++
			return []byte{'$'}
		}
	case 'x':
		if l.at+3 >= len(l.line) || unhex(l.line[l.at+2]) < 0 || unhex(l.line[l.at+3]) < 0 {
			l.fault(codeEscape, l.at, "\\x takes two hexadecimal digits", "write both digits, or \\\\x for a backslash", "truncated or invalid hexadecimal sequence")
			return nil
		}
		c := byte(unhex(l.line[l.at+2])<<4 | unhex(l.line[l.at+3]))
		if c == 0 {
			l.fault(codeByte, l.at, "HAProxy ends the word there", "remove it", "the word would hold a NUL byte")
			return nil
		}
		l.at += 3
		return []byte{c}
	}
	return []byte{'\\'}
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
