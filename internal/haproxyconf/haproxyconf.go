// Package haproxyconf owns the syntax of HAProxy's configuration files:
// lines, words, quotes, escapes, comments and sections, and where each of
// them stands. It knows the names of sections and no other keyword. Its law:
// what HAProxy 2.6's reader refuses is refused here with a place, what it
// accepts becomes the same words, and parse(print(x)) == x.
//
// Stricter than HAProxy: environment variables inside double quotes and the
// .if family are refused, since a file must mean the same on every machine;
// so is a carriage return inside a line, where HAProxy would silently drop the
// rest. HAProxy 2.6 has no line continuation: a backslash at the end of a
// line is a word of its own there, and here.
package haproxyconf

import "kasgen/internal/diag"

// MaxWords is HAProxy's limit of words on a line.
const MaxWords = 64

// File is one configuration file.
type File struct {
	Name     string
	Sections []*Section
	// Tail is the comments after the last line.
	Tail []string
}

// Section is a header such as "frontend kas" and the lines under it.
type Section struct {
	Header *Line
	Lines  []*Line
}

// Keyword is the section's kind: global, defaults, frontend and so on.
func (s *Section) Keyword() string { return s.Header.Words[0].Value }

// Name is the section's own name, or "".
func (s *Section) Name() string {
	if len(s.Header.Words) > 1 {
		return s.Header.Words[1].Value
	}
	return ""
}

// Line is the words of one line; there is always at least one.
type Line struct {
	// Before is the comments above the line, without their number sign.
	Before []string
	Words  []Word
	// Comment is the comment at the end of the line; nil if there is none.
	Comment *string
}

// Values is the words without their places.
func (l *Line) Values() []string {
	v := make([]string, len(l.Words))
	for i, w := range l.Words {
		v[i] = w.Value
	}
	return v
}

// Word is one word with its quotes and escapes resolved.
type Word struct {
	Value string
	Pos   diag.Pos
}

// isSection tells whether a line that begins with word opens a section.
func isSection(word string) bool {
	switch word {
	case "global", "defaults", "frontend", "backend", "listen", "peers", "mailers", "userlist",
		"resolvers", "program", "http-errors", "fcgi-app", "ring", "cache", "namespace_list":
		return true
	}
	return false
}
