package diag

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
)

// The elements of JUnit's XML that CI servers agree on. There are no times and
// no host names, so the same input gives the same bytes.
type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Skipped  int          `xml:"skipped,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Skipped *junitMessage `xml:"skipped"`
	Failure *junitMessage `xml:"failure"`
	Out     string        `xml:"system-out,omitempty"`
}

type junitMessage struct {
	Type    string `xml:"type,attr,omitempty"`
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// WriteJUnit prints one test case for each subject: failed with its errors,
// skipped with its reason, else passed. What is no error is the case's output.
func (r Report) WriteJUnit(w io.Writer) error {
	suite := junitSuite{Name: r.Command, Cases: []junitCase{}}
	for _, e := range r.examined() {
		c := r.junitCase(e)
		suite.Tests++
		switch {
		case c.Failure != nil:
			suite.Failures++
		case c.Skipped != nil:
			suite.Skipped++
		}
		suite.Cases = append(suite.Cases, c)
	}
	doc := junitSuites{Name: r.Command, Tests: suite.Tests, Failures: suite.Failures, Skipped: suite.Skipped, Suites: []junitSuite{suite}}
	text, err := xml.MarshalIndent(doc, "", "  ")
	if err != nil {
		return fmt.Errorf("writing JUnit: %w", err)
	}
	_, err = fmt.Fprintf(w, "%s%s\n", xml.Header, text)
	return err
}

func (r Report) junitCase(e *examined) junitCase {
	c := junitCase{Class: r.Command, Name: e.Name}
	var faults, rest Findings
	for _, f := range e.findings {
		if f.Severity == Error {
			faults = append(faults, f)
		} else {
			rest = append(rest, f)
		}
	}
	c.Out = rest.junitText()
	switch {
	// Readers of JUnit differ in what they do with several failures of one
	// case, so there is one with everything in it.
	case len(faults) > 0:
		message := faults[0].Error()
		if len(faults) > 1 {
			message = fmt.Sprintf("%s (and %d more)", message, len(faults)-1)
		}
		c.Failure = &junitMessage{Type: faults[0].Code, Message: message, Text: faults.junitText()}
	case e.Failure != nil:
		c.Failure = &junitMessage{Type: e.Failure.Kind, Message: firstLine(e.Failure.Text), Text: e.Failure.Text}
	case e.Skipped != "":
		c.Skipped = &junitMessage{Message: e.Skipped}
	}
	return c
}

// junitText is every finding, the suppressed ones too, as people read them.
func (fs Findings) junitText() string {
	var b strings.Builder
	for _, f := range fs {
		f.text(&b)
	}
	return b.String()
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
