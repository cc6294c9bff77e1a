package cli_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"kasgen/internal/cli"
	"kasgen/internal/diag"
)

func TestCode(t *testing.T) {
	t.Parallel()
	for want, err := range map[int]error{
		cli.Done:        nil,
		cli.Failure:     errors.New("x"),
		cli.Differences: fmt.Errorf("wrapped: %w", cli.Exit{Code: cli.Differences}),
		cli.Misuse:      cli.Usage("x"),
	} {
		if got := cli.Code(err); got != want {
			t.Errorf("%v: %d, want %d", err, got, want)
		}
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		args      []string
		code      int
		out, errs string
	}{
		"done":            {[]string{"say", "hello"}, 0, "hello\n", ""},
		"failure":         {[]string{"say", "fail"}, 1, "", "error: failed\n"},
		"findings":        {[]string{"say", "findings"}, 1, "", ""},
		"differences":     {[]string{"say", "differ"}, 2, "", ""},
		"unknown flag":    {[]string{"say", "--nope"}, 3, "", "error: unknown flag: --nope\nSee 'kasgen say --help'.\n"},
		"bad flag value":  {[]string{"say", "--format", "xml", "x"}, 3, "", "error: invalid argument \"xml\" for \"--format\" flag: it is text, json, junit or sarif\nSee 'kasgen say --help'.\n"},
		"too few args":    {[]string{"say"}, 3, "", "error: accepts 1 arg(s), received 0\nSee 'kasgen say --help'.\n"},
		"unknown command": {[]string{"sya"}, 3, "", "error: unknown command \"sya\", did you mean \"say\"?\nSee 'kasgen --help'.\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out, errs bytes.Buffer
			streams := cli.IO{In: &bytes.Buffer{}, Out: &out, Err: &errs}
			var format cli.Format
			say := &cobra.Command{Use: "say WORD", Args: cobra.ExactArgs(1), RunE: func(_ *cobra.Command, args []string) error {
				switch args[0] {
				case "fail":
					return errors.New("failed")
				case "findings":
					return cli.Exit{Code: cli.Failure}
				case "differ":
					return cli.Exit{Code: cli.Differences}
				}
				fmt.Fprintln(streams.Out, args[0])
				return nil
			}}
			cli.AddFormat(say, &format)
			code := cli.Run(context.Background(), cli.Root(streams, say), tc.args)
			if code != tc.code {
				t.Errorf("exit code %d, want %d", code, tc.code)
			}
			if d := cmp.Diff(tc.out, out.String()); d != "" {
				t.Errorf("out: %s", d)
			}
			if d := cmp.Diff(tc.errs, errs.String()); d != "" {
				t.Errorf("err: %s", d)
			}
		})
	}
}

// TestOverrides is not parallel: it sets variables.
func TestOverrides(t *testing.T) {
	t.Setenv("KASGEN_KAS_NAME", "from-variable")
	t.Setenv("KASGEN_STATE_DIR", "/from/variable")
	t.Setenv("KASGEN_EMPTY", "")
	list := []cli.Override{{Flag: "kas-name", Field: "names.kas"}, {Flag: "state-dir", Field: "stateDir"}, {Flag: "empty", Field: "e"}, {Flag: "unset", Field: "u"}}
	cmd := &cobra.Command{Use: "x", Run: func(*cobra.Command, []string) {}}
	values := cli.AddOverrides(cmd, list)
	cmd.SetArgs([]string{"--kas-name", "from-flag"})
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	want := []cli.Value{
		{Override: list[0], Text: "from-flag", Source: "--kas-name"},
		{Override: list[1], Text: "/from/variable", Source: "KASGEN_STATE_DIR"},
		{Override: list[2], Text: "", Source: "KASGEN_EMPTY"},
	}
	if d := cmp.Diff(want, values.Given()); d != "" {
		t.Error(d)
	}
}

func TestPrintFindings(t *testing.T) {
	t.Parallel()
	var fs diag.Findings
	fs.Add(diag.Finding{Code: "KAS1", Pos: diag.Pos{File: "f", Line: 1, Column: 2}, What: "what", Why: "why", Fix: "fix"})
	for format, want := range map[cli.Format][2]string{
		cli.Text: {"", "f:1:2: error: KAS1: what\n  why: why\n  fix: fix\n"},
		cli.JSON: {"{\n  \"findings\": [\n    {\n      \"code\": \"KAS1\",\n      \"severity\": \"error\",\n      \"file\": \"f\",\n      \"line\": 1,\n      \"column\": 2,\n      \"what\": \"what\",\n      \"why\": \"why\",\n      \"fix\": \"fix\"\n    }\n  ]\n}\n", ""},
	} {
		var out, errs bytes.Buffer
		if err := cli.PrintFindings(cli.IO{Out: &out, Err: &errs}, format, fs); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, [2]string{out.String(), errs.String()}); d != "" {
			t.Error(d)
		}
	}
}

func TestCheckVariables(t *testing.T) {
	t.Parallel()
	values := cli.AddOverrides(&cobra.Command{}, []cli.Override{{Flag: "kas-name", Field: "names.kas"}, {Flag: "state-dir", Field: "stateDir"}})
	if err := values.CheckVariables([]string{"KASGEN_KAS_NAME=x", "KASGEN_STATE_DIR=", "HOME=/", "KASGENX=1"}); err != nil {
		t.Errorf("known and foreign variables: %v", err)
	}
	err := values.CheckVariables([]string{"KASGEN_ZZZZZZZZZ=secret", "KASGEN_KAS_NAMEX=y"})
	want := "the variable KASGEN_KAS_NAMEX sets nothing: did you mean KASGEN_KAS_NAME?\n" +
		"the variable KASGEN_ZZZZZZZZZ sets nothing: unset it; --help lists the flags that have variables"
	if err == nil || err.Error() != want || cli.Code(err) != cli.Misuse {
		t.Errorf("exit code %d: %v, want %s", cli.Code(err), err, want)
	}
}
