package diag_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kasgen/internal/diag"
)

// report has one of everything.
func report() diag.Report {
	var fs diag.Findings
	fs.Add(diag.Finding{Code: "KAS1", Pos: diag.Pos{File: "a.yaml", Line: 1, Column: 2}, Field: "a", What: "it is \"<wrong>\"", Why: "because", Fix: "so"})
	fs.Add(diag.Finding{Code: "KAS2", Pos: diag.Pos{File: "a.yaml", Line: 3, Column: 4}, What: "wrong, too"})
	fs.Add(diag.Finding{Code: "KAS3", Severity: diag.Warning, Pos: diag.Pos{File: "b.yaml"}, What: "odd"})
	fs.Add(diag.Finding{Code: "KAS3", Severity: diag.Warning, Pos: diag.Pos{File: "b.yaml", Line: 1, Column: 1}, What: "known", Suppressed: &diag.Suppression{Reason: "we know", Until: "2027-01-31"}})
	fs.Add(diag.Finding{Code: "KAS1", Pos: diag.Pos{File: "--flag"}, Field: "f", What: "no"})
	fs.Add(diag.Finding{Code: "KAS4", What: "nowhere"})
	return diag.Report{Command: "kasgen", Findings: fs, Subjects: []diag.Subject{
		{Name: "a.yaml"},
		{Name: "b.yaml"},
		{Name: "good.yaml"},
		{Name: "other.yaml", Skipped: "not of this role"},
		{Name: "c.yaml", Failure: &diag.Failure{Kind: "difference", Text: "it differs\nhere"}},
	}}
}

func TestReportText(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := report().WriteText(&out); err != nil {
		t.Fatal(err)
	}
	want := `a.yaml:1:2: error: KAS1: it is "<wrong>"
  why: because
  fix: so
a.yaml:3:4: error: KAS2: wrong, too
b.yaml: warning: KAS3: odd
--flag: error: KAS1: no
error: KAS4: nowhere
1 warning suppressed
skipped other.yaml: not of this role
`
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Error(d)
	}
}

func TestReportJSON(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := report().WriteJSON(&out); err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Findings diag.Findings
		Skipped  []struct{ Name, Reason string }
	}
	if err := json.Unmarshal(out.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(report().Findings, doc.Findings); d != "" {
		t.Error(d)
	}
	if len(doc.Skipped) != 1 || doc.Skipped[0].Name != "other.yaml" || doc.Skipped[0].Reason != "not of this role" {
		t.Error(doc.Skipped)
	}
	out.Reset()
	if err := (diag.Report{}).WriteJSON(&out); err != nil || out.String() != "{\n  \"findings\": []\n}\n" {
		t.Error(err, out.String())
	}
}

func TestReportJUnit(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := report().WriteJUnit(&out); err != nil {
		t.Fatal(err)
	}
	want := `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="kasgen" tests="7" failures="4" errors="0" skipped="1">
  <testsuite name="kasgen" tests="7" failures="4" errors="0" skipped="1">
    <testcase classname="kasgen" name="a.yaml">
      <failure type="KAS1" message="a.yaml:1:2: error: KAS1: it is &#34;&lt;wrong&gt;&#34; (and 1 more)">a.yaml:1:2: error: KAS1: it is &#34;&lt;wrong&gt;&#34;&#xA;  why: because&#xA;  fix: so&#xA;a.yaml:3:4: error: KAS2: wrong, too&#xA;</failure>
    </testcase>
    <testcase classname="kasgen" name="b.yaml">
      <system-out>b.yaml: warning: KAS3: odd&#xA;b.yaml:1:1: warning: KAS3: known&#xA;  suppressed: we know&#xA;</system-out>
    </testcase>
    <testcase classname="kasgen" name="good.yaml"></testcase>
    <testcase classname="kasgen" name="other.yaml">
      <skipped message="not of this role"></skipped>
    </testcase>
    <testcase classname="kasgen" name="c.yaml">
      <failure type="difference" message="it differs">it differs&#xA;here</failure>
    </testcase>
    <testcase classname="kasgen" name="--flag">
      <failure type="KAS1" message="--flag: error: KAS1: no">--flag: error: KAS1: no&#xA;</failure>
    </testcase>
    <testcase classname="kasgen" name="kasgen">
      <failure type="KAS4" message="error: KAS4: nowhere">error: KAS4: nowhere&#xA;</failure>
    </testcase>
  </testsuite>
</testsuites>
`
	if d := cmp.Diff(want, out.String()); d != "" {
		t.Error(d)
	}
}

// TestJUnitHostile holds the document to XML whatever a finding quotes.
func TestJUnitHostile(t *testing.T) {
	t.Parallel()
	var fs diag.Findings
	fs.Add(diag.Finding{Code: "KAS1", Pos: diag.Pos{File: "a\x00b]]>"}, What: "\x1b[31m \xff \ufffe & ]]> <!--"})
	var out bytes.Buffer
	if err := (diag.Report{Command: "kasgen", Findings: fs}).WriteJUnit(&out); err != nil {
		t.Fatal(err)
	}
	dec := xml.NewDecoder(&out)
	for {
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// result is what the test looks at in a SARIF log.
type result struct {
	RuleID    string
	RuleIndex int
	Level     string
	Message   struct{ Text string }
	Locations []struct {
		PhysicalLocation *struct {
			ArtifactLocation struct{ URI string }
			Region           *struct{ StartLine, StartColumn int }
		}
		LogicalLocations []struct{ FullyQualifiedName, Kind string }
	}
	Suppressions []struct {
		Kind, Status, Justification string
		Properties                  struct{ Until string }
	}
}

type sarif struct {
	Version string
	Runs    []struct {
		Tool struct {
			Driver struct {
				Name, Version string
				Rules         []struct {
					ID               string
					ShortDescription struct{ Text string }
					Help             *struct{ Text, Markdown string }
				}
			}
		}
		Invocations []struct {
			ExecutionSuccessful        bool
			ToolExecutionNotifications []struct{ Message struct{ Text string } }
		}
		Results []result
	}
}

func TestReportSARIF(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	err := report().WriteSARIF(&out, diag.Tool{
		Name: "kasgen", Version: "1.2.3",
		Rule: func(code string) (diag.Rule, bool) {
			return diag.Rule{Title: "title of " + code, Help: "help", Markdown: "*help*"}, code != "KAS4"
		},
		Source:    func(string) []byte { return []byte("éa\nb\n\téé x\n") },
		Elsewhere: func(file string) bool { return strings.HasPrefix(file, "--") },
	})
	if err != nil {
		t.Fatal(err)
	}
	var log sarif
	if err := json.Unmarshal(out.Bytes(), &log); err != nil {
		t.Fatal(err)
	}
	run := log.Runs[0]
	var lines []string
	for _, r := range run.Results {
		if got := run.Tool.Driver.Rules[r.RuleIndex].ID; got != r.RuleID {
			t.Errorf("the rule of %s is %s", r.RuleID, got)
		}
		line := r.Level + " " + r.RuleID
		for _, l := range r.Locations {
			if p := l.PhysicalLocation; p != nil {
				line += " " + p.ArtifactLocation.URI
				if p.Region != nil {
					line += " " + strings.Repeat("|", p.Region.StartLine) + strings.Repeat("-", p.Region.StartColumn)
				}
			}
			for _, logical := range l.LogicalLocations {
				line += " " + logical.Kind + "=" + logical.FullyQualifiedName
			}
		}
		if r.Suppressions == nil {
			t.Error("suppressions are unknown")
		}
		for _, s := range r.Suppressions {
			line += " suppressed: " + s.Kind + ", " + s.Justification + ", " + s.Properties.Until
		}
		lines = append(lines, line)
	}
	want := []string{
		"error KAS1 a.yaml |-- member=a", // byte 2 is inside é
		"error KAS2 a.yaml |||---",
		"warning KAS3 b.yaml",
		"warning KAS3 b.yaml |- suppressed: inSource, we know, 2027-01-31",
		"error KAS1 parameter=--flag member=f",
		"error KAS4",
		"error difference c.yaml",
	}
	if d := cmp.Diff(want, lines); d != "" {
		t.Error(d)
	}
	if got := run.Results[0].Message.Text; got != "it is \"<wrong>\"\nWhy: because\nFix: so" {
		t.Error(got)
	}
	if n := len(run.Tool.Driver.Rules); n != 5 || run.Tool.Driver.Rules[0].Help.Markdown != "*help*" {
		t.Error(run.Tool.Driver.Rules)
	}
	if notes := run.Invocations[0].ToolExecutionNotifications; len(notes) != 1 || notes[0].Message.Text != "skipped other.yaml: not of this role" {
		t.Error(notes)
	}
}
