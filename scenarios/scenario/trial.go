package scenario

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"

	agentpb "kasgen/internal/kasrpc/agent"
	"kasgen/internal/kasrpc/kubeapi"
	tunnelpb "kasgen/internal/kasrpc/tunnel"
	kasgenruntime "kasgen/runtime"
	"kasgen/scenarios/lab"
	"kasgen/scenarios/lab/cluster"
)

const (
	// large is twice what nginx takes of a body by default, in bytes.
	large = 2 << 20
	// silence is how long a stream says nothing: a shortened limit is at most
	// half of it, so that one which holds is seen to.
	silence = 3 * time.Second
	// trialLimit is how long a trial may take on a small machine.
	trialLimit = time.Minute
)

// check tries one thing that the file adds to the columns, through what runs.
func (s Scenario) check(ctx context.Context, l *lab.Lab, c Check, front kasgenruntime.Programs) Checked {
	d := s.checked(c, front)
	d.Got, d.Reason = c.run(ctx, l)
	d.Reason = strings.Join(strings.Fields(d.Reason), " ")
	d.Pass = d.Got == d.Want
	return d
}

func (c Check) run(ctx context.Context, l *lab.Lab) (Verdict, string) {
	i := slices.IndexFunc(l.Agents, func(a lab.Agent) bool { return a.Way == lab.GRPCS })
	if i < 0 {
		return Failed, "no agent is connected by gRPC"
	}
	ctx, cancel := context.WithTimeout(ctx, trialLimit)
	defer cancel()
	switch a := l.Agents[i]; c.Try {
	case Body:
		return post(ctx, l.RESTConfig(a, "kasgen-scenario/body"))
	case Stream:
		return send(ctx, l.RESTConfig(a, "kasgen-scenario/stream"))
	case Silence:
		return c.wait(ctx, l, a)
	default:
		return Failed, "there is no such trial"
	}
}

// post makes an object with a request of large bytes.
func post(ctx context.Context, config *rest.Config) (Verdict, string) {
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return Failed, err.Error()
	}
	defer client.CloseIdleConnections()
	head := `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"kasgen-large"},"data":{"payload":"`
	body := head + strings.Repeat("x", large-len(head)-len(`"}}`)) + `"}}`
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, config.Host+"/api/v1/namespaces/"+cluster.Namespace+"/configmaps", strings.NewReader(body))
	if err != nil {
		return Failed, err.Error()
	}
	r.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(r)
	if err != nil {
		return Failed, err.Error()
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(io.LimitReader(resp.Body, 300))
	switch {
	case resp.StatusCode == http.StatusCreated && err == nil:
		return Passes, ""
	case resp.StatusCode == http.StatusRequestEntityTooLarge:
		return TooLarge, "the answer is " + resp.Status
	default:
		return Failed, fmt.Sprintf("the answer is %s: %s %v", resp.Status, said, cmp.Or(err, io.EOF))
	}
}

// send has a command print large bytes, which its agent sends by one stream.
// They are random: an agent compresses.
func send(ctx context.Context, config *rest.Config) (Verdict, string) {
	config.APIPath, config.GroupVersion, config.NegotiatedSerializer = "/api", &corev1.SchemeGroupVersion, scheme.Codecs.WithoutConversion()
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return Failed, err.Error()
	}
	at := client.Get().Resource("pods").Namespace(cluster.Namespace).Name(cluster.Pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Container: cluster.Container, Stdout: true, Command: []string{"head", "-c", fmt.Sprint(large), "/dev/urandom"}}, scheme.ParameterCodec).URL()
	exec, err := remotecommand.NewWebSocketExecutor(config, http.MethodGet, at.String())
	if err != nil {
		return Failed, err.Error()
	}
	var out bytes.Buffer
	err = exec.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &out})
	switch {
	case err == nil && out.Len() == large:
		return Passes, ""
	case out.Len() > 0 && out.Len() < large:
		return Reset, fmt.Sprintf("it ended after %d KiB of %d: %v", out.Len()>>10, large>>10, cmp.Or(err, io.EOF))
	default:
		return Failed, fmt.Sprintf("%d bytes of %d: %v", out.Len(), large, cmp.Or(err, io.EOF))
	}
}

// wait makes a call as agents keep it open, and says nothing. What ends it before
// the limit is something else than that limit.
func (c Check) wait(ctx context.Context, l *lab.Lab, a lab.Agent) (Verdict, string) {
	limit, err := c.limit()
	if err != nil {
		return Failed, err.Error()
	}
	conn, err := l.GRPC(a)
	if err != nil {
		return Failed, err.Error()
	}
	defer func() { _ = conn.Close() }() // what it says is of no check
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conn.Connect()
	for at := conn.GetState(); at != connectivity.Ready; at = conn.GetState() {
		if !conn.WaitForStateChange(ctx, at) {
			return Failed, "no connection: " + at.String()
		}
	}
	began := time.Now()
	stream, err := open(ctx, conn, c.request())
	if err != nil {
		return Failed, err.Error()
	}
	enough := time.AfterFunc(silence, cancel)
	defer enough.Stop()
	err = stream()
	switch took := time.Since(began); {
	case ctx.Err() != nil && took >= silence:
		return Passes, ""
	case err != nil && !errors.Is(err, io.EOF) && took >= limit-limit/10: // nginx's clock is coarse
		return Cut, err.Error()
	default:
		return Failed, fmt.Sprintf("after %s: %v", took, err)
	}
}

// request says whether it is the request of a call that is silent, and not the
// answer: limits for reading from kas begin with its answer.
func (c Check) request() bool { return !strings.HasPrefix(c.Shortened, "grpc_read_timeout") }

// open makes a call and returns what waits for its next message: a tunnel, which
// waits for the agent and for kas, or the configuration, which kas has answered.
func open(ctx context.Context, conn *grpc.ClientConn, request bool) (next func() error, err error) {
	if request {
		stream, err := tunnelpb.NewReverseTunnelClient(conn).Connect(ctx)
		if err == nil {
			err = stream.Send(descriptor())
		}
		return func() error { _, err := stream.Recv(); return err }, err
	}
	stream, err := agentpb.NewAgentConfigurationClient(conn).GetConfiguration(ctx, &agentpb.ConfigurationRequest{SkipRegister: true,
		AgentMeta: &agentpb.AgentMeta{Version: "kasgen-scenario", PodName: "kasgen-scenario"}})
	if err == nil {
		_, err = stream.Recv()
	}
	return func() error { _, err := stream.Recv(); return err }, err
}

// descriptor is an agent's first word in a tunnel.
func descriptor() *tunnelpb.ConnectRequest {
	service := kubeapi.KubernetesApi_ServiceDesc
	return &tunnelpb.ConnectRequest{Msg: &tunnelpb.ConnectRequest_Descriptor_{Descriptor_: &tunnelpb.Descriptor{
		AgentDescriptor: &tunnelpb.AgentDescriptor{Services: []*tunnelpb.Service{{Name: service.ServiceName,
			Methods: []*tunnelpb.Method{{Name: service.Streams[0].StreamName}}}}},
	}}}
}
