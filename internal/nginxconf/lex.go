package nginxconf

import (
	"fmt"

	"kasgen/internal/diag"
)

// Finding codes of this package.
const (
	codeUnexpected = "KAS2101" // a byte where nginx wants none
	codeTruncated  = "KAS2102" // the file ends inside something
	codeTooLong    = "KAS2103" // a word or comment of 4096 bytes or more
	codeNUL        = "KAS2104" // a NUL byte
	codeTooDeep    = "KAS2105" // blocks nested too deeply
)

type tokenKind int

const (
	tokenWord tokenKind = iota
	tokenComment
	tokenEnd   // ;
	tokenOpen  // {
	tokenClose // }
	tokenEOF
)

type token struct {
	kind  tokenKind
	value string
	pos   diag.Pos
}

// lexer follows nginx's ngx_conf_read_token state by state, one word at a
// time.
type lexer struct {
	file      string
	data      []byte
	at        int
	line      int
	lineStart int
	// afterQuote is nginx's need_space: a quote closed, and only a space,
	// `;`, `{` or `)` may follow.
	afterQuote bool
}

func (l *lexer) pos() diag.Pos {
	return diag.Pos{File: l.file, Line: l.line, Column: l.at - l.lineStart + 1}
}

func (l *lexer) fault(code string, pos diag.Pos, why, fix, format string, args ...any) error {
	var fs diag.Findings
	fs.Add(diag.Finding{Code: code, Pos: pos, What: fmt.Sprintf(format, args...), Why: why, Fix: fix})
	return fs
}

func (l *lexer) step() {
	if l.data[l.at] == '\n' {
		l.line++
		l.lineStart = l.at + 1
	}
	l.at++
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// next is the next token. Whether `;`, `{` and `}` may stand where they do is
// the parser's question.
func (l *lexer) next() (token, error) {
	if l.afterQuote && l.at < len(l.data) {
		c := l.data[l.at]
		if !isSpace(c) && c != ';' && c != '{' && c != ')' {
			return token{}, l.fault(codeUnexpected, l.pos(),
				"after a closing quote nginx wants a space, \";\" or \"{\"",
				"put a space behind the quote, or quote the whole word", "unexpected %q", c)
		}
	}
	l.afterQuote = false
	for l.at < len(l.data) && isSpace(l.data[l.at]) {
		l.step()
	}
	pos := l.pos()
	if l.at == len(l.data) {
		return token{kind: tokenEOF, pos: pos}, nil
	}
	switch c := l.data[l.at]; c {
	case ';':
		l.step()
		return token{kind: tokenEnd, pos: pos}, nil
	case '{':
		l.step()
		return token{kind: tokenOpen, pos: pos}, nil
	case '}':
		l.step()
		return token{kind: tokenClose, pos: pos}, nil
	case '#':
		return l.comment(pos)
	case '"', '\'':
		return l.quoted(c, pos)
	default:
		return l.bare(pos)
	}
}

func (l *lexer) comment(pos diag.Pos) (token, error) {
	start := l.at
	for l.at < len(l.data) && l.data[l.at] != '\n' {
		l.at++
	}
	if l.at-start >= maxWord {
		return token{}, l.tooLong(pos, "comment")
	}
	end := l.at
	for end > start+1 && isSpace(l.data[end-1]) {
		end--
	}
	return token{kind: tokenComment, value: string(l.data[start+1 : end]), pos: pos}, nil
}

func (l *lexer) quoted(quote byte, pos diag.Pos) (token, error) {
	l.step()
	start := l.at
	for l.at < len(l.data) && l.data[l.at] != quote {
		if l.data[l.at] == '\\' {
			l.step()
		}
		if l.at < len(l.data) {
			l.step()
		}
	}
	if l.at-start >= maxWord {
		return token{}, l.tooLong(pos, "quoted word")
	}
	if l.at >= len(l.data) {
		return token{}, l.fault(codeTruncated, pos, "nginx reads to the end of the file for the closing quote",
			fmt.Sprintf("close the word with %c", quote), "quote %c is never closed", quote)
	}
	raw := l.data[start:l.at]
	l.step()
	l.afterQuote = true
	return l.word(raw, pos)
}

// bare reads a word without quotes. `${` keeps its brace; a quote inside the
// word is an ordinary byte.
func (l *lexer) bare(pos diag.Pos) (token, error) {
	start := l.at
	variable := false
	for l.at < len(l.data) {
		c := l.data[l.at]
		if c == '{' && variable {
			l.step()
			continue
		}
		variable = c == '$'
		if isSpace(c) || c == ';' || c == '{' {
			break
		}
		if c == '\\' {
			l.step()
			if l.at == len(l.data) {
				break
			}
		}
		l.step()
	}
	if l.at-start >= maxWord {
		return token{}, l.tooLong(pos, "word")
	}
	if l.at == len(l.data) {
		return token{}, l.truncated(`";" or "}"`)
	}
	return l.word(l.data[start:l.at], pos)
}

func (l *lexer) word(raw []byte, pos diag.Pos) (token, error) {
	for i, c := range raw {
		if c == 0 {
			return token{}, l.fault(codeNUL, pos, "nginx would cut the word short there",
				"remove the byte: is this a text file?", "the word has a NUL byte at offset %d", i)
		}
	}
	return token{kind: tokenWord, value: unescape(raw), pos: pos}, nil
}

func (l *lexer) tooLong(pos diag.Pos, what string) error {
	return l.fault(codeTooLong, pos, "nginx reads at most 4095 bytes of one, and takes more for a missing quote",
		"shorten it, or close the quote that is open", "too long %s", what)
}

func (l *lexer) truncated(want string) error {
	return l.fault(codeTruncated, l.pos(), "the file seems cut off, or something above is not closed",
		"add the missing "+want, "unexpected end of file, expecting %s", want)
}

// unescape resolves the six escapes that nginx knows; any other backslash
// stays, so that regular expressions survive.
func unescape(raw []byte) string {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c == '\\' && i+1 < len(raw) {
			switch n := raw[i+1]; n {
			case '"', '\'', '\\':
				c, i = n, i+1
			case 't':
				c, i = '\t', i+1
			case 'r':
				c, i = '\r', i+1
			case 'n':
				c, i = '\n', i+1
			}
		}
		out = append(out, c)
	}
	return string(out)
}
