package judge

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// verdict is what became of a test that looks for a program.
type verdict struct {
	testing.TB
	failed, skipped string
}

func (v *verdict) Helper()        {}
func (v *verdict) Fatal(a ...any) { v.failed = fmt.Sprint(a...) }
func (v *verdict) Skip(a ...any)  { v.skipped = fmt.Sprint(a...) }

func TestFind(t *testing.T) {
	dir := t.TempDir()
	there := filepath.Join(dir, "there")
	if err := os.WriteFile(there, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	for _, ci := range []string{"", "true"} {
		t.Setenv("CI", ci)
		if v := new(verdict); Find(v, "there") != there || v.failed+v.skipped != "" {
			t.Errorf("CI=%q: a program that is there: %+v", ci, v)
		}
		v := new(verdict)
		Find(v, "kasgen-no-such-program")
		got, other := v.skipped, v.failed
		if ci == "true" {
			got, other = other, got
		}
		if !strings.Contains(got, "kasgen-no-such-program is not installed") || !strings.Contains(got, "Debian's kasgen-no-such-program") || other != "" {
			t.Errorf("CI=%q: a program that is missing: %q, and %q", ci, got, other)
		}
	}
}
