package scenarios_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kasgen/generator"
	"kasgen/internal/cli"
	"kasgen/runtime"
)

// TestCheckFormats holds `kasgen run --check` to the same findings and exit
// code in each format, and to naming what a role leaves out.
func TestCheckFormats(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bundle := filepath.Join(dir, "b")
	kasgen := func(args ...string) (int, string, string) {
		var out, errs bytes.Buffer
		streams := cli.IO{In: &bytes.Buffer{}, Out: &out, Err: &errs}
		root := cli.Root(streams, append(generator.Commands(streams), runtime.Commands(streams)...)...)
		return cli.Run(context.Background(), root, args), out.String(), errs.String()
	}
	if code, _, errs := kasgen("render", "-o", bundle); code != 0 {
		t.Fatal(errs)
	}
	edge, kas := filepath.Join(bundle, "edge", "edge.yaml"), filepath.Join(bundle, "kas", "kas-config.yaml")
	for format, want := range map[string][]string{
		"text":  {"skipped " + kas + ": the role edge does not read it", "warning: KAS3101"},
		"json":  {`"skipped": [`, `"name": "` + kas + `"`, `"code": "KAS3101"`},
		"junit": {`name="` + edge + `"></testcase>`, `name="` + kas + `">` + "\n      <skipped message=", "KAS3101", `failures="0"`},
		"sarif": {"skipped " + kas, `"ruleId": "KAS3101"`},
	} {
		code, out, errs := kasgen("run", "--check", "--role", "edge", "--state", filepath.Join(dir, "state"), "--format", format, bundle)
		if code != 0 {
			t.Errorf("%s: exit code %d", format, code)
		}
		for _, w := range want {
			if !strings.Contains(out+errs, w) {
				t.Errorf("%s: no %q in\n%s%s", format, w, out, errs)
			}
		}
	}
	text, err := os.ReadFile(edge)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(edge, append(text, "colour: red\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	for format, want := range map[string]string{
		"text": "error: KAS1005", "json": `"code": "KAS1005"`, "junit": `<failure type="KAS1005"`, "sarif": `"ruleId": "KAS1005"`,
	} {
		code, out, errs := kasgen("run", "--check", "--format", format, bundle)
		if code != cli.Failure || !strings.Contains(out+errs, want) {
			t.Errorf("%s: exit code %d\n%s%s", format, code, out, errs)
		}
		if format == "junit" && !strings.Contains(out, `name="`+kas+`"></testcase>`) {
			t.Errorf("the good files are no cases:\n%s", out)
		}
	}
}
