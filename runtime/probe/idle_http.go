package probe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// checkIdleHTTP watches something that is not there: the cluster says nothing
// until the time is over that the watch was asked to last, and then ends the
// answer in order.
func (e *endpoint) checkIdleHTTP(ctx context.Context) Check {
	if e.s.o.Token == "" || !e.trusted {
		return skipped(needsToken)
	}
	return idleCheck{what: "a watch without events", whole: true, open: e.openWatch}.run(ctx, e.s.o.Idle)
}

func (e *endpoint) openWatch(ctx context.Context, d time.Duration) (*silent, error) {
	of := "namespaces"
	if e.s.o.Pod != "" {
		of = "namespaces/" + e.s.o.Namespace + "/pods"
	}
	path := fmt.Sprintf("%sapi/v1/%s?watch=true&fieldSelector=metadata.name%%3Dkasgen-probe&timeoutSeconds=%d", e.proxy, of, d/time.Second)
	dialing := e.plainly()
	dialing.verify = true
	c, err := e.dial(ctx, dialing)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { closeQuietly(c) })
	give := func() { stop(); closeQuietly(c) }
	if err := errors.Join(c.SetDeadline(time.Now().Add(e.s.o.Timeout)), writeAll(c, e.wire(request{method: http.MethodGet, path: path, token: true}))); err != nil {
		give()
		return nil, err
	}
	a, resp, err := readHead(bufio.NewReader(c), http.MethodGet)
	if err == nil {
		err = c.SetDeadline(time.Time{})
	}
	if err == nil && a.status != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, most)) // it is only shown
		a.body = string(text)
		err = errors.New(a.String())
	}
	if err != nil {
		give()
		return nil, err
	}
	cut, ended, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		if _, err := io.Copy(io.Discard, resp.Body); err == nil {
			close(ended)
		} else {
			close(cut)
		}
	}()
	return &silent{cut: cut, end: func() { give(); <-done }, say: func() error {
		return waitFor(ended, cut, e.s.o.Timeout)
	}}, nil
}

func writeAll(w io.Writer, p []byte) error {
	_, err := w.Write(p)
	return err
}
