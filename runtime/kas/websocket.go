package kas

import (
	"context"
	"net/http"

	"github.com/coder/websocket"
)

// subprotocol is what agents and kas speak over a WebSocket: gRPC's bytes in
// binary messages.
const subprotocol = "ws-tunnel"

// webSocketHandler takes agents on any path: the path is the load balancer's
// business.
func (s *Server) webSocketHandler() http.Handler {
	if !s.file.Agent.Listen.Websocket {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "kas: agents connect here by gRPC only (agent.listen.websocket is not set)", http.StatusUpgradeRequired)
		})
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{
			Subprotocols:    []string{subprotocol},
			CompressionMode: websocket.CompressionDisabled, // agents compress inside
		})
		if err != nil {
			s.log.Info("an agent's WebSocket was refused", "client", r.RemoteAddr, "error", err)
			return
		}
		if c.Subprotocol() != subprotocol {
			if err := c.Close(websocket.StatusProtocolError, "the client must ask for the subprotocol "+subprotocol); err != nil {
				s.log.Debug("closing an agent's WebSocket", "error", err)
			}
			return
		}
		// The connection outlives the request; gRPC closes it.
		s.shared.intake.put(websocket.NetConn(context.Background(), c, websocket.MessageBinary))
	})
}
