package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// A WebSocket's opcodes (RFC 6455, section 5.2).
const (
	opBinary = 2
	opClose  = 8
	opPing   = 9
	opPong   = 10
)

// webSocketKey is the nonce of RFC 6455, section 1.3: nobody caches these.
const webSocketKey = "dGhlIHNhbXBsZSBub25jZQ=="

func webSocketHeader(subprotocol string) [][2]string {
	return [][2]string{{"Connection", "Upgrade"}, {"Upgrade", "websocket"}, {"Sec-WebSocket-Version", "13"},
		{"Sec-WebSocket-Key", webSocketKey}, {"Sec-WebSocket-Protocol", subprotocol}}
}

// preface is what a gRPC client says first, with empty settings.
const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"

// checkAgentWebSocket comes as an agent does.
func (e *endpoint) checkAgentWebSocket(ctx context.Context) Check {
	a, s, err := e.openAgent(ctx)
	what := "an agent's WebSocket on " + e.agents
	if errors.Is(err, errHTTP2) {
		return failed(codeHTTP2Only, what+" is answered in HTTP/2", `agents report "malformed HTTP response \x00\x00\x06\x04"`, "send WebSockets to a listener that speaks HTTP/1.1")
	}
	if err != nil {
		return failed(codeWebSocket, what+" gets no answer: "+err.Error(), "no agent by wss:// can connect", "look at the front's log")
	}
	if s == nil {
		return agentRefused(what, a)
	}
	defer s.Close()
	if p := a.header.Get("Sec-WebSocket-Protocol"); p != "ws-tunnel" {
		return failed(codeNotKAS, fmt.Sprintf("%s is taken, with the subprotocol %q instead of ws-tunnel", what, p), "kas takes ws-tunnel and nothing else: another server answers, or a proxy drops the header",
			"route the path to kas's port for agents (8150), and pass Sec-WebSocket-Protocol both ways")
	}
	// An upgrade that was let through may still carry nothing.
	if err := errors.Join(s.SetDeadline(time.Now().Add(e.s.o.Timeout)), writeFrame(s, opBinary, []byte(preface))); err != nil {
		return failed(codeWebSocket, what+" is taken and then broken: "+err.Error(), "agents connect and are cut at once", "look at the front's log, and at what stands behind it")
	}
	op, payload, err := readFrame(s)
	if err != nil || op != opBinary || len(payload) < 9 || payload[3] != 4 {
		return failed(codeWebSocket, fmt.Sprintf("%s is taken, and gRPC inside is not answered (opcode %d, %v)", what, op, err),
			"agents connect and hear nothing: the front does not carry bytes after the 101", "look at what the front does with upgraded connections")
	}
	return passed("101, ws-tunnel, and kas speaks gRPC in it")
}

// openAgent asks for an agent's WebSocket.
func (e *endpoint) openAgent(ctx context.Context) (*answer, *stream, error) {
	return e.open(ctx, request{method: "GET", path: e.agents, header: webSocketHeader("ws-tunnel")})
}

// agentRefused explains an answer that is not 101.
func agentRefused(what string, a *answer) Check {
	if c, ok := gateway(what, a); ok {
		return c
	}
	observed := what + " is answered " + a.String()
	const both = "have every proxy on the way speak HTTP/1.1 to its backend and pass both headers: proxy_http_version 1.1, proxy_set_header Upgrade $http_upgrade and Connection $connection_upgrade in nginx; the outermost too"
	const why = "agents report `expected handshake response status code 101 but got 426`: a proxy on the way "
	if s, ok := a.kube(); ok && (a.status == http.StatusUnauthorized || a.status == http.StatusBadRequest) {
		return failed(codeAgentPort, observed, "the agents' path goes to the port of the Kubernetes API proxy: "+s.Message, "send it to kas's port for agents (8150)")
	}
	switch {
	case a.status == http.StatusUpgradeRequired && strings.Contains(a.body, "gRPC only"):
		return failed(codeWebSocket, observed, "this kas takes agents by gRPC only", "set agent.listen.websocket in kas-config.yaml, or let agents come by grpcs://")
	case a.status == http.StatusUpgradeRequired && strings.Contains(a.body, "HTTP/1.0"):
		return failed(codeWebSocket, observed, why+"speaks HTTP/1.0 to its backend, in which there are no upgrades", both).because(causeHTTP10)
	case a.status == http.StatusUpgradeRequired && strings.Contains(a.body, "Connection header"):
		return failed(codeWebSocket, observed, why+"takes the Connection header away", both).because(causeConnHeader)
	case a.status == http.StatusUpgradeRequired && strings.Contains(a.body, "Upgrade header"):
		return failed(codeWebSocket, observed, why+"takes the Upgrade header away", both).because(causeUpHeader)
	case a.status == http.StatusUpgradeRequired:
		return failed(codeWebSocket, observed, why+"takes the headers Upgrade and Connection away", both).because(causeUpgrade)
	case a.status == http.StatusBadRequest && strings.Contains(a.body, "may have removed it"):
		return failed(codeWebSocket, observed, "a proxy on the way takes one of the headers Upgrade and Connection away", both).because(causeUpgrade)
	default:
		return notKAS(what, a)
	}
}

// writeFrame writes one frame as clients do; a mask of zeros is a mask.
func writeFrame(w io.Writer, op byte, payload []byte) error {
	head := []byte{0x80 | op, 0x80 | byte(len(payload)), 0, 0, 0, 0}
	if len(payload) > 125 {
		head = []byte{0x80 | op, 0x80 | 126, byte(len(payload) >> 8), byte(len(payload)), 0, 0, 0, 0}
	}
	_, err := w.Write(append(head, payload...))
	return err
}

// readFrame reads one frame of a server.
func readFrame(r io.Reader) (byte, []byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := uint64(head[1] & 0x7f)
	if n >= 126 {
		long := make([]byte, map[bool]int{false: 2, true: 8}[n == 127])
		if _, err := io.ReadFull(r, long); err != nil {
			return 0, nil, err
		}
		n = 0
		for _, b := range long {
			n = n<<8 | uint64(b)
		}
	}
	if n > 1<<20 {
		return 0, nil, fmt.Errorf("a frame of %d bytes", n)
	}
	payload := make([]byte, n)
	_, err := io.ReadFull(r, payload)
	return head[0] & 0xf, payload, err
}

// closeReason is what a frame that closes a WebSocket says.
func closeReason(payload []byte) string {
	if len(payload) < 2 {
		return "no reason"
	}
	return fmt.Sprintf("%d %s", binary.BigEndian.Uint16(payload), payload[2:])
}
