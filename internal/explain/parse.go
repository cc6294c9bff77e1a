package explain

import (
	"fmt"
	"regexp"
	"strings"
)

var (
	section = regexp.MustCompile(`^## KAS\d{2}xx: (.+)$`)
	heading = regexp.MustCompile(`^### (KAS\d{4})(?: \((warning|error or warning)\))?: (.+)$`)
)

// Parse reads the text of findings.md. It is strict, so that no entry lacks a
// part in silence: codes rise, and each has what, why, fix and an example.
func Parse(text string) ([]Entry, error) {
	p := parser{}
	for i, line := range strings.Split(text, "\n") {
		if err := p.line(line); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	if err := p.end(); err != nil {
		return nil, err
	}
	return p.entries, nil
}

type parser struct {
	entries []Entry
	about   string
	open    *Entry  // being read
	into    *string // the paragraph being read
	fenced  bool
}

func (p *parser) line(line string) error {
	if p.fenced {
		if line == "```" {
			p.fenced = false
			return nil
		}
		p.open.Example += line + "\n"
		return nil
	}
	if m := section.FindStringSubmatch(line); m != nil {
		err := p.end()
		p.about = m[1]
		return err
	}
	if m := heading.FindStringSubmatch(line); m != nil {
		if err := p.end(); err != nil {
			return err
		}
		return p.begin(m[1], Severity(m[2]), m[3])
	}
	switch {
	case strings.HasPrefix(line, "#") && p.about != "":
		return fmt.Errorf("%q is neither a section nor an entry", line)
	case p.open == nil:
		return nil // words about the file itself
	case strings.HasPrefix(line, "```"):
		if p.open.Example != "" {
			return fmt.Errorf("%s has a second example", p.open.Code)
		}
		p.fenced, p.open.Language = true, line[3:]
		return nil
	}
	return p.paragraph(line)
}

func (p *parser) begin(code string, severity Severity, title string) error {
	if p.about == "" {
		return fmt.Errorf("%s stands before the first section", code)
	}
	if n := len(p.entries); n > 0 && p.entries[n-1].Code >= code {
		return fmt.Errorf("%s stands behind %s", code, p.entries[n-1].Code)
	}
	if severity == "" {
		severity = Error
	}
	p.open = &Entry{Code: code, Severity: severity, Title: title, About: p.about}
	return nil
}

// paragraph puts a line to the part that it belongs to.
func (p *parser) paragraph(line string) error {
	if line == "" {
		p.into = nil
		return nil
	}
	if p.into == nil {
		rest, why := strings.CutPrefix(line, "**Why**: ")
		rest, fix := strings.CutPrefix(rest, "**Fix**: ")
		switch {
		case why:
			p.into = &p.open.Why
		case fix:
			p.into = &p.open.Fix
		default:
			p.into = &p.open.What
		}
		if *p.into != "" {
			return fmt.Errorf("%s has a second such paragraph", p.open.Code)
		}
		*p.into = rest
		return nil
	}
	*p.into += " " + line
	return nil
}

// end closes the entry that is open.
func (p *parser) end() error {
	e := p.open
	p.open, p.into = nil, nil
	switch {
	case e == nil:
		return nil
	case p.fenced:
		return fmt.Errorf("the example of %s is not closed", e.Code)
	case e.What == "", e.Why == "", e.Fix == "", e.Example == "":
		return fmt.Errorf("%s lacks one of what, why, fix and example", e.Code)
	}
	p.entries = append(p.entries, *e)
	return nil
}
