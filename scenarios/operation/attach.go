package operation

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/remotecommand"
)

// closing is how long a stream may take to end once it has been given up.
const closing = 5 * time.Second

// attach connects to the main process, types two lines one after the other
// and sees each come back; where the container reads nothing, it sees a line
// printed. Then it leaves, as a person does with control-C.
func attach(ctx context.Context, c *client) error {
	pod, err := c.pod(ctx)
	if err != nil {
		return err
	}
	spec, err := container(pod, c.Container)
	if err != nil {
		return err
	}
	executor, err := c.executor(c.subresource("attach").VersionedParams(&corev1.PodAttachOptions{
		Container: spec.Name, Stdin: spec.Stdin, Stdout: true, Stderr: !spec.TTY, TTY: spec.TTY,
	}, c.parameters).URL())
	if err != nil {
		return fmt.Errorf("preparing attach: %w", err)
	}
	attached, leave := context.WithCancel(ctx)
	defer leave()
	stdin, typed := io.Pipe()
	shown, stdout := io.Pipe()
	options := remotecommand.StreamOptions{Stdout: stdout, Tty: spec.TTY}
	if spec.Stdin {
		options.Stdin = stdin
	}
	if !spec.TTY {
		options.Stderr = io.Discard
	}
	ended := make(chan error, 1)
	go func() {
		err := executor.StreamWithContext(attached, options)
		_ = stdin.CloseWithError(errEnded)
		_ = stdout.CloseWithError(errEnded)
		ended <- err
	}()

	err = converse(typed, bufio.NewScanner(shown), spec.Stdin)
	stop := time.AfterFunc(closing, func() { _ = shown.Close() }) // a writer here must not hold up the end
	defer stop.Stop()
	leave()
	go func() { _, _ = io.Copy(io.Discard, shown) }() // until stdout is closed
	var end error
	select {
	case end = <-ended:
	case <-time.After(closing):
		return errors.Join(err, fmt.Errorf("the attached stream did not end within %s", closing))
	}
	switch {
	case errors.Is(err, errEnded):
		return fmt.Errorf("attach by %s ended too early: %w", c.transport, errors.Join(end, ctx.Err()))
	case err != nil:
		return err
	case end != nil && !errors.Is(end, context.Canceled):
		return fmt.Errorf("leaving the attached stream: %w", end)
	}
	return nil
}

func converse(typed io.Writer, lines *bufio.Scanner, reads bool) error {
	if !reads {
		if !lines.Scan() {
			return fmt.Errorf("waiting for a line of the main process: %w", lines.Err())
		}
		return nil
	}
	for range 2 {
		line := "kasgen " + rand.Text()
		if _, err := io.WriteString(typed, line+"\n"); err != nil {
			return fmt.Errorf("typing a line: %w", err)
		}
		for {
			if !lines.Scan() {
				return fmt.Errorf("waiting for the line to come back: %w", lines.Err())
			}
			if strings.Contains(lines.Text(), line) {
				break
			}
		}
	}
	return nil
}

// container finds a container's spec; an empty name is the first one, as for
// kubectl.
func container(pod *corev1.Pod, name string) (corev1.Container, error) {
	for _, spec := range pod.Spec.Containers {
		if name == "" || spec.Name == name {
			return spec, nil
		}
	}
	return corev1.Container{}, fmt.Errorf("pod %s/%s has no container %q", pod.Namespace, pod.Name, name)
}
