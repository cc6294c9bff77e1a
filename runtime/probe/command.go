package probe

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kasgen/internal/cli"
)

// flags are what `kasgen probe` was called with.
type flags struct {
	grpc, proxyPath, proxyProtocol string
	connect, skip                  []string
	bundle, caFile, pod            string
	tokenFile, agentTokenFile      string
	wait, timeout                  time.Duration
	idle                           bool
	format                         cli.Format
}

// Command is `kasgen probe`.
func Command(streams cli.IO) *cobra.Command {
	var o flags
	cmd := &cobra.Command{
		Use:   "probe [URL]",
		Short: "Prove that a path to kas carries each kind of traffic, and name the layer that breaks it",
		Long: `Probe comes to kas as its clients do and tries the path layer by layer, from the
outside in: name, TCP, PROXY header, TLS and its certificate, ALPN, HTTP, agents
by WebSocket and by gRPC, the Kubernetes API proxy, and kubectl's upgrades. Each
check is pass, warn, fail or skip; the first that fails is named, and those that
depend on it are skipped. The last lines say what it comes to.

Without a token nothing is asked that needs one. With the bearer token of a
kubeconfig in --token-file, which is never printed and goes only over TLS whose
certificate holds, a cluster is asked through the proxy, too; with --pod, exec
runs "true" there, and --idle "cat". An agent's own token in --agent-token-file is
for --idle alone, and registers no agent.

Before DNS moves, --connect-to says where the new balancer is. With --bundle, URL
and --grpc may be left out: the bundle's manifest has the names.`,
		Example: `  kasgen probe https://kas.example.com --connect-to 192.0.2.10
  kasgen probe https://kas.example.com --grpc grpcs://kas-grpc.example.com --bundle /etc/kasgen/bundle
  kasgen probe --bundle /etc/kasgen/bundle --connect-to 192.0.2.10
  kasgen probe https://gitlab.example.com/-/kubernetes-agent/ --token-file token --pod default/shell --idle --wait 3m`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return command(cmd.Context(), streams, strings.Join(args, ""), o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.grpc, "grpc", "", "where agents come by gRPC, grpcs://NAME (default: the same name)")
	f.StringVar(&o.proxyPath, "proxy-path", "", "path of the Kubernetes API proxy (default: k8s-proxy/ below URL)")
	f.StringArrayVar(&o.connect, "connect-to", nil, "connect to ADDRESS[:PORT] instead of what the name resolves to; NAME=ADDRESS for one name only; may be repeated")
	f.StringVar(&o.bundle, "bundle", "", "take names from this bundle's manifest, and name the line of its files that is to blame")
	f.StringVar(&o.tokenFile, "token-file", "", "bearer token of the proxy, as a kubeconfig has it (ci:AGENT:TOKEN)")
	f.StringVar(&o.agentTokenFile, "agent-token-file", "", "an agent's own token: with --idle, gRPC streams that kas has answered are watched, too")
	f.StringVar(&o.caFile, "ca-file", "", "CA certificates to trust, instead of the system's")
	f.StringVar(&o.proxyProtocol, "proxy-protocol", "", "send a PROXY header, v1 or v2, as the balancer in front would")
	f.StringVar(&o.pod, "pod", "", "a pod to exec into, NAMESPACE/NAME; needs --token-file")
	f.StringSliceVar(&o.skip, "skip", nil, "checks that are not made, nor those that depend on them")
	f.DurationVar(&o.wait, "wait", 0, "try again until the path is up or this time is over; with --idle, how long a silent stream is watched (default 2m)")
	f.DurationVar(&o.timeout, "timeout", DefaultTimeout, "time limit of one exchange")
	f.BoolVar(&o.idle, "idle", false, "find how long silent streams live")
	cli.AddFormat(cmd, &o.format, cli.Text, cli.JSON, cli.JUnit)
	cli.Complete(cmd, "proxy-protocol", func() []string { return []string{"v1", "v2"} })
	cli.Complete(cmd, "skip", checkNames)
	return cmd
}

func command(ctx context.Context, streams cli.IO, address string, f flags) error {
	o, err := f.options(address)
	if err != nil {
		return err
	}
	r := retry(ctx, streams, o, f)
	if ctx.Err() != nil {
		return cli.Exit{Code: cli.Failure, Err: errors.New("interrupted")}
	}
	if err := r.Write(streams.Out, f.format); err != nil {
		return err
	}
	if r.Failed() {
		return cli.Exit{Code: cli.Failure}
	}
	return nil
}

// again is the pause between two tries of --wait.
const again = time.Second

// retry runs until nothing fails or the time to wait is over. Silence is
// measured once, when everything else is there.
func retry(ctx context.Context, streams cli.IO, o Options, f flags) *Report {
	if f.wait == 0 || f.idle {
		return Run(ctx, o)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	over := time.NewTimer(f.wait)
	defer over.Stop()
	said := ""
	for {
		r := Run(ctx, o)
		if !r.Failed() {
			return r
		}
		if now := fmt.Sprintf("waiting: %s of %s fails\n", r.First.ID, r.First.Name); now != said {
			said = now
			fmt.Fprint(streams.Err, now)
		}
		pause := time.NewTimer(again)
		select {
		case <-over.C:
			pause.Stop()
			return r
		case <-ctx.Done():
			pause.Stop()
			return r
		case <-pause.C:
		}
	}
}

// options checks the flags.
func (f flags) options(address string) (Options, error) {
	o := Options{ProxyPath: f.proxyPath, ProxyProtocol: f.proxyProtocol, Timeout: f.timeout, Connect: map[string]string{}}
	if err := f.files(&o); err != nil {
		return o, err
	}
	var err error
	switch {
	case address != "":
		o.KAS, err = parseURL(address, "https", "wss")
	case o.Bundle != nil:
		o.KAS, err = o.Bundle.Address()
	default:
		err = errors.New("give the URL of kas, or a bundle that says it (--bundle)")
	}
	if err != nil {
		return o, cli.Usage("%v", err)
	}
	if f.grpc != "" {
		if o.GRPC, err = parseURL(f.grpc, "grpcs", "https"); err != nil {
			return o, cli.Usage("--grpc: %v", err)
		}
	}
	if o.Bundle != nil {
		if err := o.Bundle.complete(&o); err != nil {
			return o, cli.Usage("--bundle: %v", err)
		}
	}
	if !slices.Contains([]string{"", "v1", "v2"}, f.proxyProtocol) {
		return o, cli.Usage("--proxy-protocol %s: it is v1 or v2", f.proxyProtocol)
	}
	if f.timeout <= 0 || f.wait < 0 {
		return o, cli.Usage("--timeout and --wait are positive")
	}
	for _, c := range f.connect {
		name, to, ok := strings.Cut(c, "=")
		if !ok {
			name, to = "", c
		}
		if to == "" {
			return o, cli.Usage("--connect-to %s: an address is missing", c)
		}
		if ok && name != o.KAS.Hostname() && (o.GRPC == nil || name != o.GRPC.Hostname()) {
			return o, cli.Usage("--connect-to %s: %s is not a name that is probed", c, name)
		}
		o.Connect[name] = to
	}
	for _, l := range f.skip {
		if !slices.Contains(IDs(), ID(l)) {
			return o, cli.Usage("--skip %s: there is no such check; there are %s", l, strings.Join(checkNames(), ", "))
		}
		if slices.Contains([]ID{CheckName, CheckTCP, CheckProxyHeader, CheckTLS, CheckHTTP}, ID(l)) {
			return o, cli.Usage("--skip %s: everything else needs it", l)
		}
		o.Skip = append(o.Skip, ID(l))
	}
	if f.idle {
		o.Idle = f.wait
		if o.Idle == 0 {
			o.Idle = 2 * time.Minute
		}
	}
	return o, nil
}

// files reads what flags name.
func (f flags) files(o *Options) error {
	if f.pod != "" {
		var ok bool
		if o.Namespace, o.Pod, ok = strings.Cut(f.pod, "/"); !ok || o.Namespace == "" || o.Pod == "" || strings.ContainsAny(f.pod, " ?#%\r\n") || strings.Contains(o.Pod, "/") {
			return cli.Usage("--pod %s: it is NAMESPACE/NAME", f.pod)
		}
		if f.tokenFile == "" {
			return cli.Usage("--pod needs --token-file")
		}
	}
	var err error
	if o.Token, err = readToken("--token-file", f.tokenFile); err != nil {
		return err
	}
	if o.AgentToken, err = readToken("--agent-token-file", f.agentTokenFile); err != nil {
		return err
	}
	if f.caFile != "" {
		data, err := os.ReadFile(f.caFile)
		if err != nil {
			return cli.Usage("--ca-file: %v", err)
		}
		o.Roots = x509.NewCertPool()
		if !o.Roots.AppendCertsFromPEM(data) {
			return cli.Usage("--ca-file %s holds no certificate in PEM", f.caFile)
		}
	}
	if f.bundle != "" {
		if o.Bundle, err = ReadBundle(f.bundle); err != nil {
			return cli.Usage("--bundle: %v", err)
		}
	}
	return nil
}

// readToken reads a file with a token; "" where none is named. The text itself
// must not show up in a message.
func readToken(flag, file string) (string, error) {
	if file == "" {
		return "", nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", cli.Usage("%s: %v", flag, err)
	}
	token := strings.TrimSpace(string(data))
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", cli.Usage("%s %s: it must hold one token and nothing else", flag, file)
	}
	return token, nil
}

// parseURL reads an address with one of the schemes.
func parseURL(text string, schemes ...string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, err
	case u.Scheme == "http" || u.Scheme == "ws" || u.Scheme == "grpc":
		return nil, fmt.Errorf("%s is cleartext: kubectl sends no credentials over it, and agents' tokens could be read on the way; probe %s://", text, schemes[0])
	case !slices.Contains(schemes, u.Scheme) || u.Hostname() == "":
		return nil, fmt.Errorf("%s is not of the form %s://NAME", text, schemes[0])
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("%s://%s has more than a name, a port and a path", u.Scheme, u.Host)
	}
	if _, err := net.LookupPort("tcp", port(u)); err != nil {
		return nil, err
	}
	return u, nil
}

func checkNames() []string {
	var list []string
	for _, l := range IDs() {
		list = append(list, string(l))
	}
	return list
}
