//go:build e2e

package e2e

import (
	"log/slog"
	"strings"
	"testing"

	"kasgen/scenarios/lab/kubernetes"
)

// standIn is built where no kubectl is installed: a release from the time when
// kubectl began to speak WebSocket by itself.
const standIn = "v1.32.13"

// transport is what an upgrading operation is carried over.
type transport struct {
	name     string
	protocol string // as the API server names it
	verb     string // as which RBAC and the audit log see it
	env      []string
}

func spdy() transport {
	return transport{"SPDY", "SPDY/3.1", "create", []string{"KUBECTL_REMOTE_COMMAND_WEBSOCKETS=false", "KUBECTL_PORT_FORWARD_WEBSOCKETS=false"}}
}

func webSocket() transport {
	return transport{"WebSocket", "websocket", "get", []string{"KUBECTL_REMOTE_COMMAND_WEBSOCKETS=true", "KUBECTL_PORT_FORWARD_WEBSOCKETS=true"}}
}

// client is a kubectl.
type client struct {
	version, path, home string
	transports          []transport
}

// clients are three: one as people have it, the newest, and one that speaks
// SPDY alone.
func clients(t *testing.T) []client {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	both := []transport{spdy(), webSocket()}
	var list []client
	add := func(p kubernetes.Program, err error, transports []transport) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, client{strings.TrimPrefix(p.Version, "v"), p.Path, t.TempDir(), transports})
	}
	installed, err := kubernetes.Installed(t.Context())
	if err != nil {
		t.Logf("%v: %s, built from source, stands in for an installed kubectl", err, standIn)
		installed, err = kubernetes.BuildKubectl(t.Context(), standIn, log)
	}
	add(installed, err, both)
	current, err := kubernetes.BuildKubectl(t.Context(), kubernetes.Version, log)
	add(current, err, both)
	debian, err := kubernetes.GetDebianKubectl(t.Context(), log)
	add(debian, err, []transport{spdy()})
	return list
}
