package probe

import (
	"net"
	"net/url"
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

// plan is the checks in their order.
func (s *session) plan() []planned {
	k := s.kas
	list := k.connection()
	add := func(on *endpoint, id ID, needs []ID, check checker) {
		waits := id.Layer() == LayerIdle
		list = append(list, planned{id, on, needs, check, waits})
	}
	add(k, CheckHTTP, []ID{CheckTLS}, k.checkHTTP)
	add(k, CheckRedirect, []ID{CheckTLS, CheckHTTP}, k.checkRedirect)
	add(k, CheckAgentWebSocket, []ID{CheckTLS, CheckHTTP}, k.checkAgentWebSocket)
	if s.grpc == k {
		k.planGRPC(add)
	}
	add(k, CheckProxyPath, []ID{CheckTLS, CheckHTTP}, k.checkProxyPath)
	add(k, CheckUpWebSocket, []ID{CheckTLS, CheckHTTP, CheckProxyPath}, k.checkUpgrade(webSocketUpgrade))
	add(k, CheckUpSPDY, []ID{CheckTLS, CheckHTTP, CheckProxyPath}, k.checkUpgrade(spdyUpgrade))
	add(k, CheckRequest, []ID{CheckTLS, CheckChain, CheckCertName, CheckExpiry, CheckHTTP, CheckProxyPath}, k.checkRequest)
	add(k, CheckStreaming, []ID{CheckRequest}, k.checkStreaming)
	add(k, CheckBody, []ID{CheckHTTP, CheckProxyPath}, k.checkBody)
	add(k, CheckExecWebSocket, []ID{CheckRequest}, k.checkExec(webSocketUpgrade))
	add(k, CheckExecSPDY, []ID{CheckRequest}, k.checkExec(spdyUpgrade))
	if s.o.Bundle != nil {
		add(k, CheckReload, nil, k.checkReload)
	}
	if s.grpc != k {
		list = append(list, s.grpc.connection()...)
		s.grpc.planGRPC(add)
	}
	if s.o.Idle > 0 {
		add(k, CheckIdleWebSocket, []ID{CheckAgentWebSocket}, k.checkIdleWebSocket)
		add(s.grpc, CheckIdleGRPC, []ID{CheckGRPC}, s.grpc.checkIdleGRPC)
		add(s.grpc, CheckIdleAnswer, []ID{CheckGRPC, CheckChain, CheckCertName, CheckExpiry}, s.grpc.checkIdleAnswer)
		add(k, CheckIdleHTTP, []ID{CheckRequest}, k.checkIdleHTTP)
		add(k, CheckIdleExecWS, []ID{CheckRequest, CheckExecWebSocket}, k.checkIdleExecWS)
		add(k, CheckIdleExecSPDY, []ID{CheckRequest, CheckExecSPDY}, k.checkIdleExecSPDY)
	}
	return list
}

// connection is what every kind of traffic needs.
func (e *endpoint) connection() []planned {
	return []planned{
		{CheckName, e, nil, e.checkName, false},
		{CheckTCP, e, []ID{CheckName}, e.checkTCP, false},
		{CheckProxyHeader, e, []ID{CheckTCP}, e.checkProxyHeader, false},
		{CheckTLS, e, []ID{CheckTCP, CheckProxyHeader}, e.checkTLS, false},
		{CheckChain, e, []ID{CheckTLS}, e.checkChain, false},
		{CheckCertName, e, []ID{CheckTLS}, e.checkCertName, false},
		{CheckExpiry, e, []ID{CheckTLS}, e.checkExpiry, false},
		{CheckALPN, e, []ID{CheckTLS}, e.checkALPN, false},
	}
}

func (e *endpoint) planGRPC(add func(*endpoint, ID, []ID, checker)) {
	add(e, CheckGRPC, []ID{CheckTLS}, e.checkGRPC)
	add(e, CheckGRPCNoALPN, []ID{CheckTLS, CheckGRPC}, e.checkOtherALPN(nil))
	add(e, CheckGRPCHTTP1, []ID{CheckTLS, CheckGRPC}, e.checkOtherALPN([]string{"http/1.1"}))
	add(e, CheckGRPCBody, []ID{CheckTLS, CheckGRPC}, e.checkGRPCBody)
}
