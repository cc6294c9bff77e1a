package kubernetes

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// run is what a go command prints; its error holds the end of what the
// command complained of.
func (b builder) run(ctx context.Context, dir string, args ...string) ([]byte, error) {
	flags, err := b.output(ctx, dir, nil, "env", "GOFLAGS") // go env -w counts as well
	if err != nil {
		return nil, err
	}
	return b.output(ctx, dir, []string{
		"GOFLAGS=" + foreign(strings.TrimSpace(string(flags))),
		"GOWORK=off",
		"CGO_ENABLED=0", // as Kubernetes' releases are; and then no C compiler is needed
		"GOOS=" + runtime.GOOS,
		"GOARCH=" + runtime.GOARCH,
	}, args...)
}

func (b builder) output(ctx context.Context, dir string, env []string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, b.tool, args...)
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(), env...)
	// Interrupted, go ends its compilers and removes its temporary files.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if err != nil {
		name := args[0]
		if name == "mod" {
			name += " " + args[1]
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		err = fmt.Errorf("go %s: %w%s", name, err, tail(stderr.String()))
	}
	return stdout.Bytes(), err
}

// tail is the end of a complaint, where Go puts the reason. Its lines about
// progress are no part of it.
func tail(complaint string) string {
	const most = 20
	var lines []string
	for line := range strings.Lines(complaint) {
		if !strings.HasPrefix(line, "go: downloading ") && strings.TrimSpace(line) != "" {
			lines = append(lines, strings.TrimRight(line, "\r\n"))
		}
	}
	if len(lines) == 0 {
		return ""
	}
	return ": " + strings.Join(lines[max(0, len(lines)-most):], "\n")
}

// foreign is GOFLAGS without the flags that belong to the module under test,
// and without instruments, which cost kubectl speed or want cgo.
func foreign(flags string) string {
	var kept []string
	for _, flag := range split(flags) {
		name, _, _ := strings.Cut(strings.TrimLeft(strings.Trim(flag, `'"`), "-"), "=")
		switch name {
		case "mod", "modfile", "overlay", "C", "o", "race", "msan", "asan", "cover", "covermode", "coverpkg":
		default:
			kept = append(kept, flag)
		}
	}
	return strings.Join(kept, " ")
}

// split gives the fields of GOFLAGS: one may be quoted as a whole, and inside
// the quotes nothing is special.
func split(flags string) []string {
	var fields []string
	for flags = strings.TrimSpace(flags); flags != ""; flags = strings.TrimSpace(flags) {
		end := strings.IndexAny(flags, " \t\r\n")
		if quote := flags[0]; quote == '\'' || quote == '"' {
			if end = strings.IndexByte(flags[1:], quote); end >= 0 {
				end += 2
			}
		}
		if end < 0 {
			end = len(flags)
		}
		fields, flags = append(fields, flags[:end]), flags[end:]
	}
	return fields
}
