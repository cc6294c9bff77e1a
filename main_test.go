package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"kasgen/generator/spec"
	"kasgen/internal/cli"
	"kasgen/internal/judge"
	"kasgen/internal/manual"
)

func root() *cobra.Command {
	streams := cli.IO{In: &bytes.Buffer{}, Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}
	return cli.Root(streams, commands(streams)...)
}

// complete is what a shell is offered after a command line.
func complete(t *testing.T, args ...string) []string {
	t.Helper()
	var out bytes.Buffer
	streams := cli.IO{In: &bytes.Buffer{}, Out: &out, Err: &bytes.Buffer{}}
	if code := cli.Run(context.Background(), cli.Root(streams, commands(streams)...), append([]string{"__complete"}, args...)); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	return lines[:len(lines)-1]
}

// TestComplete holds shells to the program's own lists.
func TestComplete(t *testing.T) {
	t.Parallel()
	for line, want := range map[string][]string{
		"render --topology":                        spec.Rules()["topology"].Values,
		"validate --topology":                      spec.Rules()["topology"].Values,
		"render --load-balancer-kind":              spec.Rules()["loadBalancer.kind"].Values,
		"render --kas-kind":                        spec.Rules()["kas.kind"].Values,
		"render --agents-websocket":                spec.Rules()["agents.websocket"].Values,
		"validate --format":                        {"text", "json", "junit", "sarif"},
		"render --file":                            {"yaml", "yml"}, // endings
		"run --format":                             {"text", "json", "junit", "sarif"},
		"render --load-balancer-share-with-gitlab": {"true", "false"},
	} {
		if d := cmp.Diff(want, complete(t, append(strings.Fields(line), "")...)); d != "" {
			t.Errorf("%s: %s", line, d)
		}
	}
	for line, some := range map[string]string{"run --role": "edge", "explain": "KAS1203\ta duration that must be positive", "": "explain"} {
		if got := complete(t, append(strings.Fields(line), "")...); !strings.Contains("\n"+strings.Join(got, "\n"), "\n"+some) {
			t.Errorf("%s: %q", line, got)
		}
	}
}

// TestScripts holds each shell's script to its shell.
func TestScripts(t *testing.T) {
	t.Parallel()
	for shell, check := range map[string][]string{"bash": {"bash", "-n"}, "zsh": {"zsh", "-n"}, "fish": {"fish", "--no-execute"}, "powershell": nil} {
		t.Run(shell, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			streams := cli.IO{In: &bytes.Buffer{}, Out: &out, Err: &bytes.Buffer{}}
			if code := cli.Run(context.Background(), cli.Root(streams, commands(streams)...), []string{"completion", shell}); code != 0 || out.Len() < 1000 {
				t.Fatalf("exit code %d, %d bytes", code, out.Len())
			}
			if check == nil {
				return // nothing here reads PowerShell
			}
			program := judge.Find(t, check[0])
			file := filepath.Join(t.TempDir(), "script")
			if err := os.WriteFile(file, out.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			if text, err := exec.Command(program, check[1], file).CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, text)
			}
		})
	}
}

// TestMan holds the pages of every command to groff and to being the same each
// time.
func TestMan(t *testing.T) {
	t.Parallel()
	pages := manual.Pages(root())
	if d := cmp.Diff(pages, manual.Pages(root())); d != "" {
		t.Error(d)
	}
	groff := judge.Find(t, "groff")
	dir := t.TempDir()
	for _, p := range pages {
		file := filepath.Join(dir, p.Name)
		if err := os.WriteFile(file, []byte(p.Text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(groff, "-man", "-ww", "-z", "-Tutf8", file).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", p.Name, err, out)
		}
	}
}

// TestTree holds every command and flag to having words.
func TestTree(t *testing.T) {
	t.Parallel()
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Short == "" {
			t.Errorf("%s has no words", cmd.CommandPath())
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s --%s has no words", cmd.CommandPath(), f.Name)
			}
		})
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(root())
}
