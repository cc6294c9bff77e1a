package haproxyconf

import (
	"bytes"
	"strings"

	"kasgen/internal/diag"
)

// Parse reads a configuration file; name is its name in findings. The error,
// where there is one, is a diag.Findings with the fault of every line.
func Parse(name string, data []byte) (*File, error) {
	f := &File{Name: name}
	var fs diag.Findings
	var comments []string
	for num := 1; len(data) > 0; num++ {
		line, rest, complete := bytes.Cut(data, []byte{'\n'})
		l := lexer{file: name, num: num, line: line, fs: &fs}
		words, comment := l.words()
		if !complete {
			l.fault(codeTruncated, len(line), "the file may have been cut off, and HAProxy refuses it", "end the last line with a newline",
				"missing newline at the end of the file")
		}
		data = rest
		switch {
		case l.bad:
		case len(words) > 0:
			f.add(&l, &Line{Before: comments, Words: words, Comment: comment})
			comments = nil
		case comment != nil:
			comments = append(comments, *comment)
		}
	}
	f.Tail = comments
	if err := fs.Err(); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *File) add(l *lexer, line *Line) {
	word := line.Words[0].Value
	at := line.Words[0].Pos.Column - 1
	switch {
	case isSection(word):
		f.Sections = append(f.Sections, &Section{Header: line})
	case strings.HasPrefix(word, "."):
		l.fault(codeCondition, at, "what the file means would depend on the machine that reads it", "write the lines that are meant", "%s is not supported", word)
	case len(f.Sections) == 0:
		l.fault(codeSection, at, "every line belongs to a section such as global, defaults or frontend", "write the section's header above it",
			"unknown keyword %q out of section", word)
	default:
		s := f.Sections[len(f.Sections)-1]
		s.Lines = append(s.Lines, line)
	}
}
