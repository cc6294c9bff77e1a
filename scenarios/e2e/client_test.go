//go:build e2e

package e2e

import (
	"log/slog"
	"strings"
	"testing"

	"kasgen/scenarios/lab/kubernetes"
)

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

// clients are three; the oldest speaks SPDY alone.
func clients(t *testing.T) []client {
	t.Helper()
	var list []client
	for _, get := range kubernetes.Kubectls() {
		p, err := get(t.Context(), slog.New(slog.NewTextHandler(t.Output(), nil)))
		if err != nil {
			t.Fatal(err)
		}
		transports := []transport{spdy(), webSocket()}
		if p.Version == kubernetes.SPDYOnly {
			transports = transports[:1]
		}
		list = append(list, client{strings.TrimPrefix(p.Version, "v"), p.Path, t.TempDir(), transports})
	}
	return list
}
