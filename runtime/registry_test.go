package runtime

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kasgen/internal/cli"
	"kasgen/runtime/host"
)

// bundleOf is a directory with a kas-config.yaml and nothing else to run.
func bundleOf(t *testing.T, kasConfig string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"kasgen.lock.yaml": files["kasgen.lock.yaml"], kasFile: kasConfig} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestRegistry: a file with Redis is run in memory if somebody says so, and not
// otherwise.
func TestRegistry(t *testing.T) {
	t.Parallel()
	dir := bundleOf(t, strings.ReplaceAll(files[kasFile], "GITLAB", "https://gitlab.example.com")+"redis: {server: {address: \"127.0.0.1:6379\"}}\n")
	for _, tt := range []struct {
		args []string
		code int
		want []string
	}{
		{[]string{"run", "--check", dir}, cli.Failure, []string{"error: KAS3003", "--registry memory"}},
		{[]string{"run", dir}, cli.Failure, []string{"error: KAS3003"}},
		{[]string{"run", "--check", "--registry", "memory", dir}, cli.Done, []string{"warning: KAS3002: redis has no effect", "would listen on 127.0.0.1:8154"}},
		{[]string{"run", "--check", "--registry", "redis", dir}, cli.Misuse, []string{"it is memory"}},
	} {
		code, out, errs := kasgen(t, tt.args...)
		text := out + errs
		if code != tt.code {
			t.Errorf("%v: exit code %d, want %d\n%s", tt.args, code, tt.code, text)
		}
		for _, want := range tt.want {
			if !strings.Contains(text, want) {
				t.Errorf("%v: no %q in\n%s", tt.args, want, text)
			}
		}
	}
}

// TestConfigCommand: run executes the command and reads what it prints; run
// --check does not, and says so.
func TestConfigCommand(t *testing.T) {
	t.Parallel()
	made := filepath.Join(t.TempDir(), "made")
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("echo run >> "+made+"\necho 'api: {listen: {authentication_secret_file: secret}}'\necho 'redis: {server: {address: \"r:1\"}}'\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := bundleOf(t, `config: {command: /bin/sh `+script+`}
gitlab: {address: "https://gitlab.example.com", authentication_secret_file: secret}
private_api: {listen: {authentication_secret_file: secret}}
`)
	code, out, text := kasgen(t, "run", "--check", dir)
	if code != cli.Done || !strings.Contains(text, "warning: KAS3005") || !strings.Contains(text, "warning: KAS1201: api is not set") {
		t.Errorf("run --check: exit code %d\n%s%s", code, out, text)
	}
	if _, err := os.Stat(made); err == nil {
		t.Error("run --check has executed the command")
	}
	b, err := Read(dir, All, Memory)
	if err != nil {
		t.Fatal(err)
	}
	machine := host.Machine(slog.New(slog.DiscardHandler))
	before := b.parts()[0].digest(machine)
	if err := b.Complete(t.Context()); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(made); err != nil || string(text) != "run\n" {
		t.Errorf("the command has left %q, %v", text, err)
	}
	// What the command prints is part of what kas is made from: another output
	// makes another kas on reload.
	if before == b.parts()[0].digest(machine) {
		t.Error("the command's output does not count")
	}
	if w := b.Warnings(); len(w) != 1 || w[0].Field != "redis" {
		t.Errorf("warnings: %v", w)
	}
	without, err := Read(dir, All)
	if err != nil {
		t.Fatal(err)
	}
	if err := without.Complete(t.Context()); err == nil || !strings.Contains(err.Error(), "KAS3003") {
		t.Errorf("Redis from the command: %v", err)
	}
}
