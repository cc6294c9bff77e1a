package kubectl

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestInspect(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, script string
		want         string
		sentinel     error
		text         string // of an error
	}{
		{name: "new enough", script: answer("v1.31.0"), want: "v1.31.0"},
		{name: "a distribution's suffix", script: answer("v1.32.4-dispatcher"), want: "v1.32.4-dispatcher"},
		{name: "too old", script: answer("v1.30.9"), sentinel: ErrOld},
		{name: "no version", script: answer("none"), text: "reading the version"},
		{name: "no JSON", script: "echo hello", text: "reading the version"},
		{name: "failing", script: "exit 1", text: "asking"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "kubectl")
			if err := os.WriteFile(path, []byte("#!/bin/sh\n"+test.script+"\n"), 0o700); err != nil {
				t.Fatal(err)
			}
			got, err := inspect(t.Context(), path)
			switch {
			case test.sentinel != nil:
				if !errors.Is(err, test.sentinel) {
					t.Errorf("error %v, want %v", err, test.sentinel)
				}
			case test.text != "":
				if err == nil || !strings.Contains(err.Error(), test.text) {
					t.Errorf("error %v, want one with %q", err, test.text)
				}
			case err != nil || got.Version != test.want || got.Path != path:
				t.Errorf("got %+v, %v, want version %s", got, err, test.want)
			}
		})
	}
}

func answer(version string) string {
	return fmt.Sprintf(`echo '{"clientVersion":{"gitVersion":"%s"}}'`, version)
}

func TestFindWithout(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := Find(t.Context()); !errors.Is(err, ErrAbsent) {
		t.Errorf("error %v, want %v", err, ErrAbsent)
	}
}
