package diag

import (
	"encoding/json"
	"io"
	"net/url"
	"path/filepath"
	"strings"
)

// Rule is what is known about a code, whatever is found.
type Rule struct {
	Title    string
	Help     string // plain text
	Markdown string // the same with its example
	Severity Severity
}

// Tool is who found it.
type Tool struct {
	Name    string
	Version string
	Rule    func(code string) (Rule, bool)
	// Source is a file's text, or nil where it cannot be had. SARIF counts
	// columns in characters, and findings in bytes.
	Source func(file string) []byte
	// Elsewhere says that what a finding has as its file is none: a flag, a
	// variable, what stands in for a file.
	Elsewhere func(file string) bool
}

// WriteSARIF prints the report as a SARIF log with one run.
func (r Report) WriteSARIF(w io.Writer, t Tool) error {
	s := sarifWriter{tool: t, rules: map[string]int{}, run: sarifRun{
		Tool:        sarifTool{sarifDriver{Name: t.Name, Version: t.Version, Rules: []sarifRule{}}},
		Invocations: []sarifInvocation{{Successful: true}},
		ColumnKind:  "unicodeCodePoints",
		Results:     []sarifResult{},
	}}
	for _, skip := range r.Skips() {
		s.run.Invocations[0].Notifications = append(s.run.Invocations[0].Notifications,
			sarifNotification{Level: "note", Message: sarifText{Text: "skipped " + skip.Name + ": " + skip.Skipped}})
	}
	for _, f := range r.Findings {
		s.finding(f)
	}
	for _, subject := range r.Subjects {
		if subject.Failure != nil {
			s.failure(subject)
		}
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(sarifLog{
		Schema:  "https://json.schemastore.org/sarif-2.1.0.json",
		Version: "2.1.0",
		Runs:    []sarifRun{s.run},
	})
}

type sarifWriter struct {
	tool  Tool
	run   sarifRun
	rules map[string]int // index of each code's rule
}

func (s *sarifWriter) finding(f Finding) {
	rule, _ := s.tool.Rule(f.Code)
	if rule.Title == "" {
		rule.Title = f.What
	}
	message := f.What
	for _, part := range []struct{ label, text string }{{"Why: ", f.Why}, {"Fix: ", f.Fix}} {
		if part.text != "" {
			message += "\n" + part.label + part.text
		}
	}
	result := sarifResult{
		RuleID: f.Code, RuleIndex: s.rule(f.Code, rule), Level: string(f.Severity), Message: sarifText{Text: message},
		Locations: s.location(f), Suppressions: []sarifSuppression{},
	}
	if by := f.Suppressed; by != nil {
		suppression := sarifSuppression{Kind: "inSource", Status: "accepted", Justification: by.Reason}
		if by.Until != "" {
			suppression.Properties = map[string]any{"until": by.Until}
		}
		result.Suppressions = append(result.Suppressions, suppression)
	}
	s.run.Results = append(s.run.Results, result)
}

func (s *sarifWriter) failure(subject Subject) {
	s.run.Results = append(s.run.Results, sarifResult{
		RuleID: subject.Failure.Kind, RuleIndex: s.rule(subject.Failure.Kind, Rule{Title: subject.Failure.Kind, Severity: Error}),
		Level: string(Error), Message: sarifText{Text: subject.Name + ": " + subject.Failure.Text},
		Locations: s.location(Finding{Pos: Pos{File: subject.Name}}), Suppressions: []sarifSuppression{},
	})
}

// rule is the index of a rule, which is written when it is first needed.
func (s *sarifWriter) rule(id string, r Rule) int {
	if i, ok := s.rules[id]; ok {
		return i
	}
	if r.Severity == "" {
		r.Severity = Error
	}
	rule := sarifRule{ID: id, Short: sarifText{Text: r.Title}, Default: sarifDefault{Level: string(r.Severity)}}
	if r.Help != "" {
		rule.Help = &sarifText{Text: r.Help, Markdown: r.Markdown}
	}
	driver := &s.run.Tool.Driver
	s.rules[id] = len(driver.Rules)
	driver.Rules = append(driver.Rules, rule)
	return s.rules[id]
}

// location is where a finding is: a file, where it is one, and the field.
// Flags, variables and what stands in for a file have no place on a disk.
func (s *sarifWriter) location(f Finding) []sarifLocation {
	var l sarifLocation
	switch {
	case f.File == "":
	case s.tool.Elsewhere != nil && s.tool.Elsewhere(f.File):
		l.Logical = append(l.Logical, sarifLogical{Name: f.File, Kind: "parameter"})
	default:
		l.Physical = &sarifPhysical{Artifact: sarifArtifact{URI: fileURI(f.File)}}
		if f.Line > 0 {
			l.Physical.Region = &sarifRegion{StartLine: f.Line, StartColumn: s.column(f.Pos)}
		}
	}
	if f.Field != "" {
		l.Logical = append(l.Logical, sarifLogical{Name: f.Field, Kind: "member"})
	}
	if l.Physical == nil && l.Logical == nil {
		return nil
	}
	return []sarifLocation{l}
}

// column counts characters where the file can be read, else bytes.
func (s *sarifWriter) column(p Pos) int {
	if s.tool.Source == nil {
		return max(p.Column, 1)
	}
	text := s.tool.Source(p.File)
	for range p.Line - 1 {
		i := strings.IndexByte(string(text), '\n')
		if i < 0 {
			return max(p.Column, 1)
		}
		text = text[i+1:]
	}
	if p.Column < 1 || p.Column-1 > len(text) {
		return max(p.Column, 1)
	}
	return len([]rune(string(text[:p.Column-1]))) + 1
}

// fileURI is a file's name as a URI, relative where the name is.
func fileURI(name string) string {
	u := url.URL{Path: filepath.ToSlash(name)}
	if filepath.IsAbs(name) {
		u.Scheme = "file"
	}
	return u.String()
}
