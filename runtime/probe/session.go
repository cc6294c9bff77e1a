package probe

import (
	"net"
	"net/url"
	"slices"
	"strings"
)

// session is one run.
type session struct {
	o    Options
	kas  *endpoint
	grpc *endpoint // kas, where there is one name
}

// endpoint is one name and what has been found out about it.
type endpoint struct {
	s       *session
	host    string // as clients ask for it
	port    string
	agents  string // path of the agents' WebSocket, with a slash at its end
	proxy   string // path of the Kubernetes API proxy, with a slash at its end
	address string // what is dialled
	tls     *handshake
	trusted bool   // the certificate holds: credentials may be sent
	prefers string // ALPN's answer to h2 and http/1.1
}

func newSession(o Options) *session {
	s := &session{o: o}
	s.kas = s.endpoint(o.KAS)
	s.grpc = s.kas
	if o.GRPC != nil && (o.GRPC.Hostname() != o.KAS.Hostname() || port(o.GRPC) != port(o.KAS)) {
		s.grpc = s.endpoint(o.GRPC)
	}
	return s
}

func (s *session) endpoint(u *url.URL) *endpoint {
	e := &endpoint{s: s, host: u.Hostname(), port: port(u)}
	e.agents = strings.TrimSuffix(u.EscapedPath(), "/") + "/"
	e.proxy = e.agents + "k8s-proxy/"
	if s.o.ProxyPath != "" {
		e.proxy = "/" + strings.Trim(s.o.ProxyPath, "/") + "/"
		if e.proxy == "//" {
			e.proxy = "/"
		}
	}
	return e
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	return "443"
}

// authority is what the Host header says.
func (e *endpoint) authority() string {
	if e.port == "443" {
		if strings.Contains(e.host, ":") {
			return "[" + e.host + "]"
		}
		return e.host
	}
	return net.JoinHostPort(e.host, e.port)
}

// layers are the checks in their order.
func (s *session) layers() []layer {
	k := s.kas
	list := k.connection()
	add := func(on *endpoint, id Layer, needs []Layer, check checker) {
		waits := slices.Contains([]Layer{LayerIdleWebSocket, LayerIdleGRPC, LayerIdleUpgrade}, id)
		list = append(list, layer{id, on, needs, check, waits})
	}
	add(k, LayerHTTP, []Layer{LayerTLS}, k.checkHTTP)
	add(k, LayerRedirect, []Layer{LayerTLS, LayerHTTP}, k.checkRedirect)
	add(k, LayerAgentWebSocket, []Layer{LayerTLS, LayerHTTP}, k.checkAgentWebSocket)
	if s.grpc == k {
		k.grpcLayers(add)
	}
	add(k, LayerProxyPath, []Layer{LayerTLS, LayerHTTP}, k.checkProxyPath)
	add(k, LayerUpWebSocket, []Layer{LayerTLS, LayerHTTP, LayerProxyPath}, k.checkUpgrade(webSocketUpgrade))
	add(k, LayerUpSPDY, []Layer{LayerTLS, LayerHTTP, LayerProxyPath}, k.checkUpgrade(spdyUpgrade))
	add(k, LayerRequest, []Layer{LayerTLS, LayerChain, LayerCertName, LayerExpiry, LayerHTTP, LayerProxyPath}, k.checkRequest)
	add(k, LayerStreaming, []Layer{LayerRequest}, k.checkStreaming)
	add(k, LayerBody, []Layer{LayerHTTP, LayerProxyPath}, k.checkBody)
	add(k, LayerExecWebSocket, []Layer{LayerRequest}, k.checkExec(webSocketUpgrade))
	add(k, LayerExecSPDY, []Layer{LayerRequest}, k.checkExec(spdyUpgrade))
	if s.grpc != k {
		list = append(list, s.grpc.connection()...)
		s.grpc.grpcLayers(add)
	}
	if s.o.Idle > 0 {
		add(k, LayerIdleWebSocket, []Layer{LayerAgentWebSocket}, k.checkIdleWebSocket)
		add(s.grpc, LayerIdleGRPC, []Layer{LayerGRPC}, s.grpc.checkIdleGRPC)
		add(k, LayerIdleUpgrade, []Layer{LayerRequest, LayerExecWebSocket}, k.checkIdleUpgrade)
	}
	return list
}

// connection is what every kind of traffic needs.
func (e *endpoint) connection() []layer {
	return []layer{
		{LayerName, e, nil, e.checkName, false},
		{LayerTCP, e, []Layer{LayerName}, e.checkTCP, false},
		{LayerProxyHeader, e, []Layer{LayerTCP}, e.checkProxyHeader, false},
		{LayerTLS, e, []Layer{LayerTCP, LayerProxyHeader}, e.checkTLS, false},
		{LayerChain, e, []Layer{LayerTLS}, e.checkChain, false},
		{LayerCertName, e, []Layer{LayerTLS}, e.checkCertName, false},
		{LayerExpiry, e, []Layer{LayerTLS}, e.checkExpiry, false},
		{LayerALPN, e, []Layer{LayerTLS}, e.checkALPN, false},
	}
}

func (e *endpoint) grpcLayers(add func(*endpoint, Layer, []Layer, checker)) {
	add(e, LayerGRPC, []Layer{LayerTLS}, e.checkGRPC)
	add(e, LayerGRPCNoALPN, []Layer{LayerTLS, LayerGRPC}, e.checkOtherALPN(nil))
	add(e, LayerGRPCHTTP1, []Layer{LayerTLS, LayerGRPC}, e.checkOtherALPN([]string{"http/1.1"}))
	add(e, LayerGRPCBody, []Layer{LayerTLS, LayerGRPC}, e.checkGRPCBody)
}
