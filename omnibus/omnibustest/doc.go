// Package omnibustest is a machine with GitLab's Omnibus package for tests, made
// of stand-ins: the language of gitlab.rb and the loader of gitlab-ctl under
// real Ruby, and a model of the files that a reconfigure writes. None of it is
// Omnibus; all was written from what is known of it, and its law is to be
// stricter where that is possible, never more lenient.
package omnibustest

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"kasgen/internal/judge"
)

//go:embed standin
var standin embed.FS

// Ruby finds Ruby, or skips the test where nobody promised it.
func Ruby(t testing.TB) string {
	t.Helper()
	return judge.Find(t, "ruby")
}

// Standin is a directory with gitlab-ctl and gitlab_rb.rb.
func Standin(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"gitlab-ctl", "gitlab_rb.rb"} {
		text, err := standin.ReadFile("standin/" + name)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		Write(t, path, string(text))
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Resolved is what the stand-in of Omnibus makes of the gitlab.rb below each
// root, as one JSON text after the other; the error is what it raises.
func Resolved(t testing.TB, version string, roots ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, Ruby(t), append([]string{filepath.Join(Standin(t), "gitlab_rb.rb"), version}, roots...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return "", errors.New(errs.String())
	}
	return out.String(), nil
}

// Write makes a file, and the folders above it.
func Write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Read is a file's text.
func Read(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
