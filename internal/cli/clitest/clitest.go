// Package clitest runs kasgen as its users do: the program, built without the
// race detector, as a process of its own. What moves many bytes is ten times as
// fast so, and what libraries log for a whole process is told apart. Only tests
// use it.
package clitest

import (
	"bytes"
	"errors"
	"os/exec"
	"path/filepath"
	"testing"
)

// Program is where kasgen is.
type Program string

// Build builds kasgen into a directory of the test's own.
func Build(t testing.TB) Program {
	t.Helper()
	to := filepath.Join(t.TempDir(), "kasgen")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", to, "kasgen").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return Program(to)
}

// Run is what kasgen prints, and its exit code.
func (p Program) Run(t testing.TB, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), string(p), args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}
