package operation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/util/exec"
)

// client is a target with what is needed to ask it.
type client struct {
	Target
	rest       *rest.RESTClient
	parameters runtime.ParameterCodec
	transport  Transport
	complaints *complaints
}

func upgraded(run func(context.Context, *client) error) func(context.Context, Target, Transport) error {
	return func(ctx context.Context, t Target, tr Transport) error {
		if tr != SPDY && tr != WebSocket {
			return fmt.Errorf("the operation needs an upgrade, and %q is none", tr)
		}
		return with(ctx, t, tr, run)
	}
}

func plain(run func(context.Context, *client) error) func(context.Context, Target, Transport) error {
	return func(ctx context.Context, t Target, tr Transport) error {
		if tr != Plain {
			return fmt.Errorf("the operation upgrades nothing, so not to %q", tr)
		}
		return with(ctx, t, tr, run)
	}
}

// with makes a client for one run. A run has connections of its own, so that
// what one does to a connection never helps or harms another.
func with(ctx context.Context, t Target, tr Transport, run func(context.Context, *client) error) error {
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return fmt.Errorf("registering the API's types: %w", err)
	}
	config := rest.CopyConfig(t.Config)
	config.APIPath = "/api"
	config.GroupVersion = &schema.GroupVersion{Version: "v1"}
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	config.QPS = -1 // there is nobody here to be spared
	if config.Proxy == nil {
		// What nil means too; but said aloud it keeps client-go from sharing
		// one transport between all runs.
		config.Proxy = http.ProxyFromEnvironment
	}
	base, err := rest.HTTPClientFor(config)
	if err != nil {
		return fmt.Errorf("making an HTTP client: %w", err)
	}
	defer utilnet.CloseIdleConnectionsFor(base.Transport)
	c, err := rest.RESTClientForConfigAndClient(config, base)
	if err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	t.Config = config
	said := &complaints{}
	return said.with(run(said.listen(ctx), &client{
		Target: t, rest: c, parameters: runtime.NewParameterCodec(scheme), transport: tr, complaints: said,
	}))
}

// pod reads the pod.
func (c *client) pod(ctx context.Context) (*corev1.Pod, error) {
	pod := &corev1.Pod{}
	err := c.rest.Get().Namespace(c.Namespace).Resource("pods").Name(c.Pod).Do(ctx).Into(pod)
	if err != nil {
		return nil, fmt.Errorf("reading pod %s/%s: %w", c.Namespace, c.Pod, err)
	}
	return pod, nil
}

func (c *client) subresource(name string) *rest.Request {
	return c.rest.Post().Namespace(c.Namespace).Resource("pods").Name(c.Pod).SubResource(name)
}

// executor connects to address by the client's transport alone.
func (c *client) executor(address *url.URL) (remotecommand.Executor, error) {
	if c.transport == WebSocket {
		return remotecommand.NewWebSocketExecutor(c.Config, http.MethodGet, address.String())
	}
	return remotecommand.NewSPDYExecutor(c.Config, http.MethodPost, address)
}

// command is one exec.
type command struct {
	args   []string
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	tty    bool
	sizes  remotecommand.TerminalSizeQueue
}

func shell(script string, args ...string) []string {
	return append([]string{"sh", "-c", script, "sh"}, args...)
}

// exec runs a command and returns its exit code; the error is for commands
// that did not run, or of which the end is not known.
func (c *client) exec(ctx context.Context, cmd command) (int, error) {
	executor, err := c.executor(c.subresource("exec").VersionedParams(&corev1.PodExecOptions{
		Container: c.Container, Command: cmd.args,
		Stdin: cmd.stdin != nil, Stdout: cmd.stdout != nil, Stderr: cmd.stderr != nil && !cmd.tty, TTY: cmd.tty,
	}, c.parameters).URL())
	if err != nil {
		return 0, fmt.Errorf("preparing exec: %w", err)
	}
	err = executor.StreamWithContext(ctx, remotecommand.StreamOptions{
		Stdin: cmd.stdin, Stdout: cmd.stdout, Stderr: cmd.stderr, Tty: cmd.tty, TerminalSizeQueue: cmd.sizes,
	})
	var exit exec.CodeExitError
	switch {
	case errors.As(err, &exit):
		return exit.Code, nil
	case err != nil:
		return 0, fmt.Errorf("exec by %s: %w", c.transport, err)
	}
	return 0, nil
}

// must runs a command that has to end with 0, and returns what it printed.
func (c *client) must(ctx context.Context, args []string, stdin io.Reader) (string, error) {
	var stdout, stderr limited
	code, err := c.exec(ctx, command{args: args, stdin: stdin, stdout: &stdout, stderr: &stderr})
	if err != nil {
		return "", err
	}
	if code != 0 {
		return "", fmt.Errorf("%v ended with exit code %d: %s", args, code, stderr.text)
	}
	return string(stdout.text), nil
}

// limited keeps the first 64 KiB of a short output.
type limited struct{ text []byte }

func (l *limited) Write(b []byte) (int, error) {
	l.text = append(l.text, b[:min(len(b), 64<<10-len(l.text))]...)
	return len(b), nil
}
