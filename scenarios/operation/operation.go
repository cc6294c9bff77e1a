// Package operation is what people do with kubectl, done with Kubernetes' own
// client library and checked byte by byte: exec, attach, cp, port-forward,
// get, post, watch and logs. It knows a cluster's address and a pod, and not
// what stands between.
//
// Its law: an operation speaks the transport that it was told and no other.
// There is no falling back, so that what fails is seen to fail.
//
// The pod may be any that has sh, tar, stty, head, cat, mktemp and sha256sum,
// as busybox and Debian do, and whose main process prints a line now and then.
// If the container's spec has stdin, the main process must send back, within
// its output, the lines that it is sent. Something must listen on RemotePort
// that sends back what it is sent (busybox: nc -lk -p 8080 -e cat).
package operation

import (
	"context"

	"k8s.io/client-go/rest"
)

// Target is a container, and the way to it.
type Target struct {
	// Config has the host, with its path prefix, the credentials and the
	// User-Agent by which the API server tells one operation from another.
	Config     *rest.Config
	Namespace  string
	Pod        string
	Container  string
	RemotePort int // a port of the pod that echoes
}

// Transport is how an upgraded connection is framed.
type Transport string

// The transports. Operations that do not upgrade have Plain.
const (
	SPDY      Transport = "SPDY"
	WebSocket Transport = "WebSocket"
	Plain     Transport = ""
)

// Operation is one thing that a person does.
type Operation struct {
	Name     string
	Upgrades bool // run once over each of SPDY and WebSocket, else once over Plain
	// Run does it and checks the outcome. It ends soon after ctx does, leaves
	// nothing in the pod, and nothing running here.
	Run func(ctx context.Context, t Target, tr Transport) error
}

// All are the operations, in the order in which a table shows them.
func All() []Operation {
	return []Operation{
		{Name: "exec", Upgrades: true, Run: upgraded(execute)},
		{Name: "exec tty", Upgrades: true, Run: upgraded(terminal)},
		{Name: "attach", Upgrades: true, Run: upgraded(attach)},
		{Name: "cp to pod", Upgrades: true, Run: upgraded(copyTo)},
		{Name: "cp from pod", Upgrades: true, Run: upgraded(copyFrom)},
		{Name: "port-forward", Upgrades: true, Run: upgraded(portForward)},
		{Name: "get", Run: plain(get)},
		{Name: "post", Run: plain(post)},
		{Name: "watch", Run: plain(watchEvents)},
		{Name: "logs", Run: plain(followLogs)},
	}
}
