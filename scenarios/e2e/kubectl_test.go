//go:build e2e

package e2e

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"kasgen/scenarios/lab/cluster"
)

// action is something that people do with kubectl.
type action struct {
	name     string
	upgrades bool
	do       func(context.Context, *run) error
}

func actions() []action {
	return []action{
		{"exec stdin", true, execStdin},
		{"exec exit code", true, execExitCode},
		{"exec tty", true, execTTY},
		{"attach", true, attach},
		{"cp to pod", true, copyTo},
		{"cp from pod", true, copyFrom},
		{"port-forward", true, portForward},
		{"logs -f", false, followLogs},
	}
}

// size of what exec and cp carry.
const size = 1 << 20

func execStdin(ctx context.Context, r *run) error {
	typed := rand.Text()
	stdin := strings.Repeat(typed+"\n", size/(len(typed)+1))
	stdout, stderr, code, err := r.output(ctx, stdin, "exec", "-i", r.pod.name, "--", "cat")
	if err == nil && (stdout != stdin || code != 0) {
		err = fmt.Errorf("%d bytes came back of %d, or others; exit code %d: %s", len(stdout), len(stdin), code, stderr)
	}
	return err
}

func execExitCode(ctx context.Context, r *run) error {
	stdout, stderr, code, err := r.output(ctx, "", "exec", r.pod.name, "--", "sh", "-c", "echo yes; echo no >&2; exit 9")
	if err == nil && (stdout != "yes\n" || stderr != "no\ncommand terminated with exit code 9\n" || code != 9) {
		err = fmt.Errorf("standard output %q, exit code %d, standard error %s", stdout, code, stderr)
	}
	return err
}

// attach types once it has seen output. containerd takes what is typed before it
// joins the output, with and without kas in between: what the container answers
// meanwhile is nobody's.
func attach(ctx context.Context, r *run) error {
	t, err := r.start(ctx, "attach", "-i", r.pod.name)
	if err != nil {
		return err
	}
	defer t.kill()
	ticks := func(s string) bool { return strings.HasPrefix(s, "tick ") }
	if _, err := t.until(ticks); err != nil {
		return err
	}
	if _, err := io.WriteString(t.stdin, r.id+"\n"); err != nil {
		return err
	}
	if _, err := t.until(func(s string) bool { return s == "echo "+r.id }); err != nil {
		return err
	}
	_, err = t.until(ticks)
	return err
}

// sum asks the pod for the checksum of a file.
func (r *run) sum(ctx context.Context, file string) (string, error) {
	stdout, err := r.ok(ctx, "exec", r.pod.name, "--", "sha256sum", file)
	sum, _, _ := strings.Cut(stdout, " ")
	return sum, err
}

func checksum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func copyTo(ctx context.Context, r *run) error {
	there := make([]byte, size)
	rand.Read(there)
	if err := os.WriteFile(filepath.Join(r.dir, "there"), there, 0o600); err != nil {
		return err
	}
	if _, err := r.ok(ctx, "cp", "there", cluster.Namespace+"/"+r.pod.name+":"+r.id); err != nil {
		return err
	}
	sum, err := r.sum(ctx, r.id)
	if err == nil && sum != checksum(there) {
		err = errors.New("the pod has another file than was copied")
	}
	return err
}

func copyFrom(ctx context.Context, r *run) error {
	make := fmt.Sprintf("head -c %d /dev/urandom >%s && sha256sum %s", size, r.id, r.id)
	stdout, err := r.ok(ctx, "exec", r.pod.name, "--", "sh", "-c", make)
	if err != nil {
		return err
	}
	sum, _, _ := strings.Cut(stdout, " ")
	if _, err := r.ok(ctx, "cp", cluster.Namespace+"/"+r.pod.name+":"+r.id, "back"); err != nil {
		return err
	}
	back, err := os.ReadFile(filepath.Join(r.dir, "back"))
	if err == nil && sum != checksum(back) {
		err = errors.New("another file came back than the pod has")
	}
	return err
}

func portForward(ctx context.Context, r *run) error {
	t, err := r.start(ctx, "port-forward", "--address=127.0.0.1", "pod/"+r.pod.name, fmt.Sprintf(":%d", r.pod.port))
	if err != nil {
		return err
	}
	defer t.kill()
	line, err := t.line()
	if err != nil {
		return err
	}
	m := regexp.MustCompile(`^Forwarding from (127\.0\.0\.1:\d+) -> \d+$`).FindStringSubmatch(line)
	if m == nil {
		return fmt.Errorf("kubectl says %q", line)
	}
	for range 2 {
		if err := echo(ctx, m[1]); err != nil {
			return fmt.Errorf("%w: %s", err, t.stderr.String())
		}
	}
	return nil
}

// echo sends something, ends that direction, and wants it all back.
func echo(ctx context.Context, address string) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := io.WriteString(conn, "over there"); err != nil {
		return err
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		return err
	}
	back, err := io.ReadAll(conn)
	if err == nil && string(back) != "over there" {
		err = fmt.Errorf("%q came back", back)
	}
	return err
}

func followLogs(ctx context.Context, r *run) error {
	t, err := r.start(ctx, "logs", "-f", r.pod.name, "--tail=1")
	if err != nil {
		return err
	}
	defer t.kill()
	for range 3 {
		if _, err := t.until(func(s string) bool { return strings.HasPrefix(s, "tick ") }); err != nil {
			return err
		}
	}
	return nil
}
