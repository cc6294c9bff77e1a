package cluster

import (
	"net/http"
	"net/url"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/proxy"
	translate "k8s.io/apiserver/pkg/util/proxy"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	"k8s.io/streaming/pkg/httpstream/wsstream"
)

// stream hands an upgrade to the node as kube-apiserver does: SPDY is passed
// through, WebSocket is translated to SPDY (exec, attach) or carries SPDY in
// it (port-forward), and WebSocket of the older subprotocols is the node's. An
// older API server leaves every WebSocket to the node.
func (a *apiServer) stream(w http.ResponseWriter, r *http.Request, kind streamKind) {
	s, err := newSession(kind, r.URL.Query())
	if err != nil {
		writeStatus(w, err)
		return
	}
	location, forget := a.node.open(s)
	defer forget()

	through := proxy.NewUpgradeAwareHandler(location, a.transport, false, true, responder{})
	var handler http.Handler = through
	switch {
	case a.older:
	case kind == forwardStream:
		handler = translate.NewTranslatingHandler(through, translate.NewTunnelingHandler(through),
			wsstream.IsWebSocketRequestWithTunnelingProtocol)
	default:
		handler = translate.NewTranslatingHandler(through,
			translate.NewStreamTranslatorHandler(location, a.transport, 0, translate.Options{
				Stdin: s.streams.Stdin, Stdout: s.streams.Stdout, Stderr: s.streams.Stderr, Tty: s.streams.TTY,
			}), wsstream.IsWebSocketRequestWithStreamCloseProtocol)
	}
	handler.ServeHTTP(w, r)
}

func newSession(kind streamKind, q url.Values) (session, error) {
	s := session{kind: kind}
	if kind == forwardStream {
		return s, nil
	}
	if err := knownContainer(q.Get("container")); err != nil {
		return s, err
	}
	flag := func(name string) bool {
		v := strings.ToLower(q.Get(name))
		return q.Has(name) && v != "false" && v != "0"
	}
	s.streams = remotecommand.Options{Stdin: flag("stdin"), Stdout: flag("stdout"), Stderr: flag("stderr"), TTY: flag("tty")}
	if s.streams.TTY {
		s.streams.Stderr = false // a terminal has one output
	}
	if !s.streams.Stdin && !s.streams.Stdout && !s.streams.Stderr {
		return s, apierrors.NewBadRequest("you must specify at least one of stdin, stdout, stderr")
	}
	if kind == execStream {
		if s.command = q["command"]; len(s.command) == 0 {
			return s, apierrors.NewBadRequest("you must specify at least one command for the container")
		}
	}
	return s, nil
}

// responder writes the errors of the proxy as Status.
type responder struct{}

func (responder) Error(w http.ResponseWriter, _ *http.Request, err error) { writeStatus(w, err) }
