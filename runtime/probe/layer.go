package probe

// ID names one check.
type ID string

// The checks, from the outside in.
const (
	CheckName           ID = "name"
	CheckTCP            ID = "tcp"
	CheckProxyHeader    ID = "proxy-header"
	CheckTLS            ID = "tls"
	CheckChain          ID = "certificate-chain"
	CheckCertName       ID = "certificate-name"
	CheckExpiry         ID = "certificate-expiry"
	CheckALPN           ID = "alpn"
	CheckHTTP           ID = "http"
	CheckRedirect       ID = "redirect"
	CheckAgentWebSocket ID = "agent-websocket"
	CheckGRPC           ID = "agent-grpc"
	CheckGRPCNoALPN     ID = "agent-grpc-without-alpn"
	CheckGRPCHTTP1      ID = "agent-grpc-http1-alpn"
	CheckGRPCBody       ID = "agent-grpc-body"
	CheckProxyPath      ID = "proxy-path"
	CheckUpWebSocket    ID = "upgrade-websocket"
	CheckUpSPDY         ID = "upgrade-spdy"
	CheckRequest        ID = "proxy-request"
	CheckStreaming      ID = "streaming"
	CheckBody           ID = "body-size"
	CheckExecWebSocket  ID = "exec-websocket"
	CheckExecSPDY       ID = "exec-spdy"
	CheckReload         ID = "reload"
	CheckIdleWebSocket  ID = "idle-websocket"
	CheckIdleGRPC       ID = "idle-grpc"
	CheckIdleAnswer     ID = "idle-grpc-answer"
	CheckIdleHTTP       ID = "idle-http"
	CheckIdleExecWS     ID = "idle-exec-websocket"
	CheckIdleExecSPDY   ID = "idle-exec-spdy"
)

// Layer is the part of the way that a check is about.
type Layer string

// The layers, from the outside in.
const (
	LayerName      Layer = "name"
	LayerTCP       Layer = "tcp"
	LayerProxy     Layer = "proxy-header"
	LayerTLS       Layer = "tls"
	LayerHTTP      Layer = "http"
	LayerAgent     Layer = "agent-websocket"
	LayerGRPC      Layer = "agent-grpc"
	LayerKube      Layer = "proxy-path"
	LayerUpgrade   Layer = "upgrade"
	LayerStreaming Layer = "streaming"
	LayerBody      Layer = "body-size"
	LayerReload    Layer = "reload"
	LayerIdle      Layer = "idle"
)

// placed are all checks, and where each belongs.
var placed = [...]struct {
	id    ID
	layer Layer
}{
	{CheckName, LayerName},
	{CheckTCP, LayerTCP},
	{CheckProxyHeader, LayerProxy},
	{CheckTLS, LayerTLS}, {CheckChain, LayerTLS}, {CheckCertName, LayerTLS}, {CheckExpiry, LayerTLS}, {CheckALPN, LayerTLS},
	{CheckHTTP, LayerHTTP}, {CheckRedirect, LayerHTTP},
	{CheckAgentWebSocket, LayerAgent},
	{CheckGRPC, LayerGRPC}, {CheckGRPCNoALPN, LayerGRPC}, {CheckGRPCHTTP1, LayerGRPC}, {CheckGRPCBody, LayerGRPC},
	{CheckProxyPath, LayerKube},
	{CheckUpWebSocket, LayerUpgrade}, {CheckUpSPDY, LayerUpgrade},
	{CheckRequest, LayerKube},
	{CheckStreaming, LayerStreaming},
	{CheckBody, LayerBody},
	{CheckExecWebSocket, LayerUpgrade}, {CheckExecSPDY, LayerUpgrade},
	{CheckReload, LayerReload},
	{CheckIdleWebSocket, LayerIdle}, {CheckIdleGRPC, LayerIdle}, {CheckIdleAnswer, LayerIdle},
	{CheckIdleHTTP, LayerIdle}, {CheckIdleExecWS, LayerIdle}, {CheckIdleExecSPDY, LayerIdle},
}

// IDs lists all checks.
func IDs() []ID {
	var list []ID
	for _, p := range placed {
		list = append(list, p.id)
	}
	return list
}

// Layer is where the check belongs.
func (id ID) Layer() Layer {
	for _, p := range placed {
		if p.id == id {
			return p.layer
		}
	}
	return ""
}

// grpc says whether the check makes a call as agents do.
func (id ID) grpc() bool {
	switch id {
	case CheckGRPC, CheckGRPCNoALPN, CheckGRPCHTTP1, CheckGRPCBody, CheckIdleGRPC, CheckIdleAnswer:
		return true
	default:
		return false
	}
}
