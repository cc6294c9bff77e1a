package omnibus

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kasgen/internal/cli"
	"kasgen/runtime/certs"
)

// killed is set in the processes that TestKilledAtEveryWrite kills: a victim in
// JSON.
const killed = "KASGEN_TEST_VICTIM"

// victim is a run that is killed ahead of an operation.
type victim struct {
	Scene, Root string
	Survives    int // operations that it lives to see
}

// Victim runs the victim that this process is, if it is one.
func Victim() bool {
	text := os.Getenv(killed)
	if text == "" {
		return false
	}
	var v victim
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		panic(err) // ends the process that the test started
	}
	if err := killedScenes()[v.Scene].run(host{root: v.Root, before: func() {
		if v.Survives == 0 {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		v.Survives--
	}}); err != nil {
		panic(err)
	}
	return true
}

// die runs the victim in a process of its own and says whether it was killed.
func (v victim) die(t *testing.T) bool {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), killed+"="+string(text), "GORACE=atexit_sleep_ms=0")
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL { //nolint:forcetypeassert // on every system that has SIGKILL
		return true
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return false
}

// killedScene is a host, and a run that changes it.
type killedScene struct {
	before func(t *testing.T, root string)
	run    func(h host) error
}

func killedScenes() map[string]killedScene {
	return map[string]killedScene{
		"install": {bare, install},
		"reconfigure": {func(t *testing.T, root string) {
			alreadyInstalled(t, root)
			put(t, filepath.Join(root, specFile), strings.Replace(killedSpec, "topology: A", "topology: D", 1))
		}, func(h host) error {
			r := reconfiguration{options: options{host: h, version: "18.11", binary: "/usr/local/bin/kasgen"}, streams: quiet(), hook: "pre"}
			return r.run(context.Background())
		}},
		"reconfigure, no certificate yet": {func(t *testing.T, root string) {
			alreadyInstalled(t, root)
			if err := os.RemoveAll(filepath.Join(root, "var/lib/kasgen")); err != nil {
				t.Fatal(err)
			}
			put(t, filepath.Join(root, specFile), dSpec("tls: {source: acme}\n"))
		}, func(h host) error {
			r := reconfiguration{options: options{host: h, version: "18.11", binary: "/usr/local/bin/kasgen"}, streams: quiet(), hook: "pre"}
			return r.run(context.Background())
		}},
		"uninstall": {alreadyInstalled, func(h host) error {
			return (&removal{options: options{host: h}, streams: quiet()}).run(context.Background())
		}},
	}
}

func quiet() cli.IO { return cli.IO{In: strings.NewReader(""), Out: io.Discard, Err: io.Discard} }

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

const killedSpec = "apiVersion: kasgen/v1\ntopology: A\ngitlab: {url: https://gitlab.example.com}\nnames: {kas: kas.gitlab.example.com}\n"

func bare(t *testing.T, root string) {
	t.Helper()
	put(t, filepath.Join(root, gitlabFile), "external_url 'https://gitlab.example.com'\n")
	put(t, filepath.Join(root, specFile), killedSpec)
	for _, name := range []string{"kas.crt", "kas.key"} {
		put(t, filepath.Join(root, "var/lib/kasgen/tls", name), "it is only looked for")
	}
}

func install(h host) error {
	i := installation{options: options{host: h, version: "18.11", binary: "/usr/local/bin/kasgen"}, streams: quiet(), yes: true}
	return i.run(context.Background())
}

func alreadyInstalled(t *testing.T, root string) {
	t.Helper()
	bare(t, root)
	if err := install(host{root: root}); err != nil {
		t.Fatal(err)
	}
}

// TestKilledAtEveryWrite kills install, a reconfigure and uninstall ahead of each
// thing that they do to the disk, with SIGKILL. The next run puts things in
// order, and then everything is as it was or as it was to be.
func TestKilledAtEveryWrite(t *testing.T) {
	t.Parallel()
	for name, scene := range killedScenes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := scratch(t)
			scene.before(t, before)
			old := files(t, before)
			root := copied(t, before)
			if err := scene.run(host{root: root}); err != nil {
				t.Fatal(err)
			}
			fresh := files(t, root)
			for survives := 0; ; survives++ {
				root := copied(t, before)
				dead := victim{name, root, survives}.die(t)
				if _, err := (host{root: root}).recover(); err != nil {
					t.Fatalf("after %d operations: %v", survives, err)
				}
				got := files(t, root)
				if !cmp.Equal(old, got) && !cmp.Equal(fresh, got) {
					t.Fatalf("after %d operations, neither old nor new; as against old:\n%s\nas against new:\n%s", survives, cmp.Diff(old, got), cmp.Diff(fresh, got))
				}
				if !dead {
					t.Logf("killed ahead of each of %d operations", survives)
					if survives < 8 || cmp.Equal(old, got) {
						t.Errorf("it did %d things", survives)
					}
					return
				}
				// And the run does what it was to do, when it is run again: tried
				// after one in eight.
				if survives%8 != 0 {
					continue
				}
				if err := scene.run(host{root: root}); err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(fresh, files(t, root)); d != "" {
					t.Fatalf("after %d operations, run again:\n%s", survives, d)
				}
			}
		})
	}
}

// scratch is a directory in memory where there is one: a kill loses nothing that
// was not flushed, and hundreds of runs would wait for a disk.
func scratch(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "kasgen-killed-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// copied is a host like another one.
func copied(t *testing.T, from string) string {
	t.Helper()
	to := scratch(t)
	if out, err := exec.CommandContext(t.Context(), "cp", "-a", from+"/.", to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return to
}

// files are what a host holds for programs to read: not the generations that
// are kept, nor empty folders.
func files(t *testing.T, root string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, root)
		if e.IsDir() {
			if strings.HasSuffix(name, ".kasgen.generations") {
				return fs.SkipDir
			}
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		found[name] = info.Mode().String() + " " + string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	// One placeholder is like the other, as long as certificate and key are a pair.
	const crt, key = "/var/lib/kasgen/tls/kas.crt", "/var/lib/kasgen/tls/kas.key"
	read := func(name string) []byte { data, _ := os.ReadFile(root + name); return data }
	if pair, err := certs.Parse(read(crt), read(key)); err == nil && certs.IsPlaceholder(pair.Leaf) {
		found[crt], found[key] = found[crt][:10]+" a placeholder", found[key][:10]+" its key"
	}
	return found
}
