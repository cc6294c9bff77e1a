package kubernetes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// TestMain makes the test binary play a go or a kubectl when it is called by
// that name: a program written for the purpose would now and then be "text
// file busy" (golang/go#22315).
func TestMain(m *testing.M) {
	var played error
	switch filepath.Base(os.Args[0]) {
	case "go":
		played = playGo(os.Args[1:])
	case "kubectl":
		played = playKubectl()
	case "getter":
		played = playGetter()
	default:
		// The race detector lets each program that ends sleep for a second.
		if err := os.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		goleak.VerifyTestMain(m)
	}
	if played != nil {
		fmt.Fprintln(os.Stderr, played)
		os.Exit(1)
	}
}

// cast puts the test binary under a name into dir.
func cast(t *testing.T, dir, name string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	if err := os.Symlink(self, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// playKubectl prints the file answer that lies beside it.
func playKubectl() error {
	text, err := os.ReadFile(filepath.Join(filepath.Dir(os.Args[0]), "answer"))
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(text)
	return err
}

// call is one use of the played go.
type call struct {
	Args []string
	Env  map[string]string `json:",omitempty"`
}

// playGo notes the call in the file calls that lies beside it and does what
// go would do, with a played kubectl as what it builds. A file named like a
// subcommand makes that one fail with the file's text, the file hangs makes a
// build take forever; the file builds is the version that a built kubectl
// answers with.
func playGo(args []string) error {
	home := filepath.Dir(os.Args[0])
	beside := func(name string) string {
		text, err := os.ReadFile(filepath.Join(home, name))
		if err != nil {
			return ""
		}
		return string(text)
	}
	if slices.Equal(args, []string{"env", "GOFLAGS"}) {
		fmt.Println("-mod=vendor -modcacherw")
		return nil
	}
	note := call{Args: args, Env: map[string]string{}}
	for _, name := range []string{"GOFLAGS", "GOWORK", "CGO_ENABLED"} {
		note.Env[name] = os.Getenv(name)
	}
	line, err := json.Marshal(note)
	if err != nil {
		return err
	}
	calls, err := os.OpenFile(filepath.Join(home, "calls"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if _, err := calls.Write(append(line, '\n')); err != nil {
		return err
	}
	switch args[0] + " " + args[1] {
	case "mod download":
		if text := beside("download"); text != "" {
			fmt.Printf(`{"Error": %q}`, text)
			return fmt.Errorf("go: downloading the world")
		}
		fmt.Println(`{"GoMod": "/modules/v.mod"}`)
	case "mod edit":
		if text := beside("edit"); text != "" {
			return fmt.Errorf("%s", text)
		}
		fmt.Println(ownMod)
	default:
		if text := beside("build"); text != "" {
			return fmt.Errorf("%s", text)
		}
		if at := beside("hangs"); at != "" {
			return playHang(at)
		}
		return playBuild(home, args[slices.Index(args, "-o")+1], beside("builds"))
	}
	return nil
}

// playHang calls a socket and tells it when an interrupt has come.
func playHang(at string) error {
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	conn, err := net.Dial("unix", at)
	if err != nil {
		return err
	}
	defer conn.Close()
	fmt.Fprintln(conn, "begun")
	fmt.Fprintln(conn, <-interrupts)
	return errors.New("interrupted")
}

// playBuild keeps the go.mod that it is run with, for the test to read.
func playBuild(home, to, version string) error {
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(home, "go.mod"), mod, 0o600); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	// The answer must outlive the rename out of to's folder.
	for _, dir := range []string{filepath.Dir(to), filepath.Dir(filepath.Dir(to))} {
		if err := os.WriteFile(filepath.Join(dir, "answer"), []byte(answer(version)), 0o600); err != nil {
			return err
		}
	}
	return os.Symlink(self, to)
}

// playGetter is a process that wants kubectl, with go beside it and the cache
// directory as its argument.
func playGetter() error {
	b := builder{
		command: kubectl, version: Version, inspect: inspect,
		tool: filepath.Join(filepath.Dir(os.Args[0]), "go"),
		dir:  os.Args[1],
		log:  slog.New(slog.DiscardHandler),
	}
	k, err := b.get(context.Background())
	if err != nil {
		return err
	}
	fmt.Print(strings.TrimPrefix(k.Path, b.dir))
	return nil
}
