package diag

import (
	"encoding/json"
	"fmt"
	"io"
)

// Report is all that one command has to say about what it looked at, in every
// format.
type Report struct {
	Command  string // "kasgen validate"
	Subjects []Subject
	Findings Findings
}

// Subject is something that a command looked at, or would have.
type Subject struct {
	Name    string   // a file as findings name it, or words
	Skipped string   // why it was not looked at; empty: it was
	Failure *Failure // what is wrong with it that is no finding
}

// Failure is what is wrong without being a fault in a file: a difference, say.
type Failure struct {
	Kind string // one word
	Text string
}

// Skips are the subjects that were not looked at.
func (r Report) Skips() []Subject {
	var list []Subject
	for _, s := range r.Subjects {
		if s.Skipped != "" {
			list = append(list, s)
		}
	}
	return list
}

// examined is a subject with its findings.
type examined struct {
	Subject
	findings Findings
}

// examined puts findings to their subjects. One whose subject is not listed, a
// flag's for example, is a subject of its own.
func (r Report) examined() []*examined {
	var list []*examined
	byName := map[string]*examined{}
	add := func(s Subject) *examined {
		e := &examined{Subject: s}
		list = append(list, e)
		byName[s.Name] = e
		return e
	}
	for _, s := range r.Subjects {
		add(s)
	}
	for _, f := range r.Findings {
		name := f.File
		if name == "" {
			name = r.Command
		}
		e, ok := byName[name]
		if !ok {
			e = add(Subject{Name: name})
		}
		e.findings = append(e.findings, f)
	}
	return list
}

// suppressed counts the findings that count for nothing.
func (fs Findings) suppressed() int {
	n := 0
	for _, f := range fs {
		if f.Suppressed != nil {
			n++
		}
	}
	return n
}

// counted is "1 warning" or "2 warnings".
func counted(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// WriteText prints the findings, and each skip with its reason.
func (r Report) WriteText(w io.Writer) error {
	if err := r.Findings.WriteText(w); err != nil {
		return err
	}
	for _, s := range r.Skips() {
		if _, err := fmt.Fprintf(w, "skipped %s: %s\n", s.Name, s.Skipped); err != nil {
			return err
		}
	}
	return nil
}

// WriteJSON prints {"findings": […]}, with the skips where there are any.
func (r Report) WriteJSON(w io.Writer) error {
	type skip struct {
		Name   string `json:"name"`
		Reason string `json:"reason"`
	}
	doc := struct {
		Findings Findings `json:"findings"`
		Skipped  []skip   `json:"skipped,omitempty"`
	}{Findings: append(Findings{}, r.Findings...)}
	for _, s := range r.Skips() {
		doc.Skipped = append(doc.Skipped, skip{s.Name, s.Skipped})
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(doc)
}
