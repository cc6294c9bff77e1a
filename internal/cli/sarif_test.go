package cli_test

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"kasgen/internal/cli"
	"kasgen/internal/diag"
	"kasgen/internal/explain"
)

// sarifSchema is OASIS's schema, a constant in the source of a library that
// does not export it.
func sarifSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	dir, err := exec.Command("go", "list", "-f", "{{.Dir}}", "github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif").Output()
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(strings.TrimSpace(string(dir)), "schema.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var text string
	ast.Inspect(file, func(n ast.Node) bool {
		if l, ok := n.(*ast.BasicLit); ok && strings.Contains(l.Value, "json-schema.org") {
			text, err = strconv.Unquote(l.Value)
		}
		return err == nil
	})
	if err != nil || text == "" {
		t.Fatal("no schema", err)
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("sarif.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("sarif.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// TestSARIF holds the log to SARIF's own schema, with a finding of every code
// that there is.
func TestSARIF(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "a file.yaml")
	if err := os.WriteFile(file, []byte("é: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var fs diag.Findings
	for _, e := range explain.All() {
		f := diag.Finding{Code: e.Code, Pos: diag.Pos{File: file, Line: 1, Column: 5}, Field: "a.b[0]", What: e.Title, Why: e.Why, Fix: e.Fix}
		if e.Severity == explain.Warning {
			f.Severity, f.Suppressed = diag.Warning, &diag.Suppression{Reason: "known", Until: "2027-01-31"}
		}
		fs.Add(f)
	}
	fs.Add(diag.Finding{Code: "KAS1404", Pos: diag.Pos{File: "--kas-name"}, What: "a flag"})
	fs.Add(diag.Finding{Code: "KAS1404", Pos: diag.Pos{File: "KASGEN_KAS_NAME"}, What: "a variable"})
	fs.Add(diag.Finding{Code: "KAS1404", Pos: diag.Pos{File: "dir:with/c:olon", Line: 2}, What: "an odd name"})
	fs.Add(diag.Finding{Code: "KAS1404", What: "nowhere"})
	subjects := append(cli.Looked(file), diag.Subject{Name: "x", Skipped: "not asked"}, diag.Subject{Name: "y", Failure: &diag.Failure{Kind: "difference", Text: "it differs"}})
	var out, errs bytes.Buffer
	if err := cli.PrintFindings(cli.IO{Out: &out, Err: &errs}, cli.SARIF, fs, subjects...); err != nil || errs.Len() > 0 {
		t.Fatal(err, errs.String())
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(out.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if err := sarifSchema(t).Validate(doc); err != nil {
		t.Fatal(err)
	}
	var log sarif.Report
	if err := json.Unmarshal(out.Bytes(), &log); err != nil {
		t.Fatal(err)
	}
	run := log.Runs[0]
	if got, want := len(run.Tool.Driver.Rules), len(explain.All())+1; got != want {
		t.Errorf("%d rules, want %d", got, want)
	}
	for _, rule := range run.Tool.Driver.Rules[:len(explain.All())] {
		e, _ := explain.Lookup(*rule.ID)
		if d := cmp.Diff(e.Plain(), *rule.Help.Text); d != "" {
			t.Error(d)
		}
	}
	region := run.Results[0].Locations[0].PhysicalLocation.Region
	if *region.StartColumn != 4 { // byte 5 is the 4th character
		t.Errorf("column %d", *region.StartColumn)
	}
	for _, name := range []int{len(fs) - 4, len(fs) - 3} {
		if run.Results[name].Locations[0].PhysicalLocation != nil {
			t.Errorf("%s is a file", *run.Results[name].Message.Text)
		}
	}
}
