package probe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/protobuf/proto"

	agentpb "kasgen/internal/kasrpc/agent"
)

// checkIdleGRPC opens a call and keeps its message back. That is as far as one
// gets without an agent's token: limits that begin with kas's answer are met by
// checkIdleAnswer.
func (e *endpoint) checkIdleGRPC(ctx context.Context) Check {
	return idleCheck{what: "a gRPC stream with an open request", open: func(ctx context.Context, _ time.Duration) (*silent, error) {
		ctx, cancel := context.WithCancel(ctx)
		pr, pw := io.Pipe()
		cut := make(chan struct{})
		var r reply
		go func() {
			defer close(cut)
			r = e.call(ctx, []string{"h2"}, pr)
			closeQuietly(pr)
		}()
		return &silent{cut: cut, end: func() { cancel(); closeQuietly(pw); <-cut }, say: func() error {
			_, err := pw.Write(make([]byte, 5)) // an empty message
			if err := errors.Join(err, pw.Close()); err != nil {
				return err
			}
			if err := waitFor(cut, nil, e.s.o.Timeout); err != nil {
				return err
			}
			if !r.kas() {
				return errNoAnswer
			}
			return nil
		}}, nil
	}}.run(ctx, e.s.o.Idle)
}

// configurationMethod is a call that kas answers at once, and then keeps open
// until the agent's configuration changes.
const configurationMethod = "/gitlab.agent.agent_configuration.rpc.AgentConfiguration/GetConfiguration"

// checkIdleAnswer asks for an agent's configuration as the agent does, without
// registering one, and hears nothing more: limits that begin with kas's answer,
// such as nginx's grpc_read_timeout, are met by this alone.
func (e *endpoint) checkIdleAnswer(ctx context.Context) Check {
	switch {
	case e.s.o.AgentToken == "":
		return skipped("needs --agent-token-file")
	case !e.trusted:
		return skipped("no token goes over a connection whose certificate does not hold")
	}
	return idleCheck{what: "a gRPC stream that kas has answered", open: func(ctx context.Context, _ time.Duration) (*silent, error) {
		return e.openConfiguration(ctx)
	}}.run(ctx, e.s.o.Idle)
}

func (e *endpoint) openConfiguration(ctx context.Context) (*silent, error) {
	message, err := proto.Marshal(&agentpb.ConfigurationRequest{SkipRegister: true, AgentMeta: &agentpb.AgentMeta{Version: "kasgen-probe", PodName: "kasgen-probe"}})
	if err != nil {
		return nil, err
	}
	d := e.plainly()
	d.alpn, d.verify = []string{"h2"}, true
	c, err := e.dial(ctx, d)
	if err != nil {
		return nil, err
	}
	cc, err := (&http2.Transport{DisableCompression: true}).NewClientConn(c) //nolint:staticcheck // net/http's would dial by itself
	if err != nil {
		closeQuietly(c)
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	give := func() { cancel(); closeQuietly(cc); closeQuietly(c) }
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+e.authority()+configurationMethod, bytes.NewReader(framed(message)))
	if err != nil {
		give()
		return nil, err
	}
	r.Header = http.Header{"Content-Type": {"application/grpc"}, "Te": {"trailers"}, "User-Agent": {"kasgen-probe"}, "Authorization": {"Bearer " + e.s.o.AgentToken}}
	limit := time.AfterFunc(e.s.o.Timeout, give) // of the beginning
	resp, err := cc.RoundTrip(r)
	if err == nil {
		_, err = io.ReadFull(resp.Body, make([]byte, 5)) // there is an answer
	}
	if err != nil || !limit.Stop() {
		give()
		if resp != nil {
			err = configurationRefused(resp, err)
			closeQuietly(resp.Body)
		}
		return nil, err
	}
	cut, over := make(chan struct{}), make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		if _, err := io.Copy(io.Discard, resp.Body); err == nil && resp.Trailer.Get("Grpc-Status") == "0" {
			close(over)
		} else {
			close(cut)
		}
	}()
	return &silent{cut: cut, over: over, end: func() { give(); closeQuietly(resp.Body); <-done }, say: func() error {
		ctx, cancel := context.WithTimeout(ctx, e.s.o.Timeout)
		defer cancel()
		return cc.Ping(ctx) // the call itself cannot be spoken on
	}}, nil
}

// configurationRefused is why kas does not give an agent its configuration.
func configurationRefused(resp *http.Response, err error) error {
	status, message := resp.Header.Get("Grpc-Status"), resp.Header.Get("Grpc-Message")
	if status == "" {
		status, message = resp.Trailer.Get("Grpc-Status"), resp.Trailer.Get("Grpc-Message")
	}
	switch status {
	case "":
		return fmt.Errorf("%s: %w", resp.Status, err)
	case "16", "7", "5":
		return refusal{failed(codeDenied, "kas refuses the agent's token: "+reply{status: status, message: message}.String(), "the path is fine as far as kas; what lies behind cannot be proven",
			"take the token that the agent was registered with, as its Secret has it")}
	default:
		return errors.New(reply{status: status, message: message}.String())
	}
}
