package kubernetes

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func answer(version string) string {
	return fmt.Sprintf(`{"clientVersion":{"gitVersion":%q}}`, version)
}

// kubectlThat puts a kubectl with an answer into dir.
func kubectlThat(t *testing.T, dir, answer string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if answer != "" {
		write(t, filepath.Join(dir, "answer"), answer)
	}
	return cast(t, dir, "kubectl")
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestInspect(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, answer string
		want         string
		sentinel     error
		text         string // of an error
	}{
		{name: "new enough", answer: answer("v1.31.0"), want: "v1.31.0"},
		{name: "a distribution's suffix", answer: answer("v1.32.4-dispatcher"), want: "v1.32.4-dispatcher"},
		{name: "too old", answer: answer("v1.30.9"), sentinel: ErrOld},
		{name: "no version", answer: answer("none"), text: "reading the version"},
		{name: "no JSON", answer: "hello", text: "reading the version"},
		{name: "failing", text: "asking"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			path := kubectlThat(t, t.TempDir(), test.answer)
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

// TestChoice is not parallel: PATH and the cache are the process's.
func TestChoice(t *testing.T) {
	for _, test := range []struct {
		name              string
		onPath, inCache   string // versions; empty: none
		goTool            bool
		find, get         string // versions
		findFault, getHas error
		getText           string
	}{
		{name: "installed", onPath: "v1.31.0", inCache: Version, find: "v1.31.0", get: "v1.31.0"},
		{name: "nothing", findFault: ErrAbsent, getHas: ErrAbsent, getText: "there is no go on PATH"},
		{name: "nothing but go", goTool: true, findFault: ErrAbsent, get: Version},
		{name: "old", onPath: "v1.20.2", findFault: ErrOld, getHas: ErrOld, getText: "there is no go on PATH"},
		{name: "old and go", onPath: "v1.20.2", goTool: true, findFault: ErrOld, get: Version},
		{name: "old and cached", onPath: "v1.20.2", inCache: Version, find: Version, get: Version},
		{name: "cached", inCache: Version, find: Version, get: Version},
		{name: "strange in cache", inCache: "v1.36.0", goTool: true, findFault: ErrAbsent, get: Version},
	} {
		t.Run(test.name, func(t *testing.T) {
			path, cache := t.TempDir(), t.TempDir()
			t.Setenv("PATH", path)
			t.Setenv("XDG_CACHE_HOME", cache)
			t.Setenv("HOME", cache)
			if test.onPath != "" {
				kubectlThat(t, path, answer(test.onPath))
			}
			dir, err := cacheDir(kubectl, Version)
			if err != nil {
				t.Fatal(err)
			}
			if test.inCache != "" {
				kubectlThat(t, dir, answer(test.inCache))
			}
			if test.goTool {
				cast(t, path, "go")
				write(t, filepath.Join(path, "builds"), Version)
			}
			found, err := FindKubectl(t.Context())
			if !errors.Is(err, test.findFault) || found.Version != test.find {
				t.Errorf("Find gives %+v, %v, want version %q, error %v", found, err, test.find, test.findFault)
			}
			got, err := GetKubectl(t.Context(), slog.New(slog.DiscardHandler))
			if !errors.Is(err, test.getHas) || got.Version != test.get {
				t.Errorf("Get gives %+v, %v, want version %q, error %v", got, err, test.get, test.getHas)
			}
			if test.getText != "" && (err == nil || !strings.Contains(err.Error(), test.getText)) {
				t.Errorf("Get's error %v, want one with %q", err, test.getText)
			}
		})
	}
}

// TestVersion holds Version to the client-go that kasgen is built with.
func TestVersion(t *testing.T) {
	t.Parallel()
	mod, err := os.ReadFile("../../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`(?m)^\s*k8s\.io/client-go ` + regexp.QuoteMeta(staging(Version)) + `$`).Match(mod) {
		t.Errorf("go.mod has another client-go than %s", staging(Version))
	}
}
