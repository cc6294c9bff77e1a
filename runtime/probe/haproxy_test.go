package probe

import (
	"strings"
	"testing"
	"time"
)

// Each of these HAProxys carries everything that its kind can.
const (
	// goodTCP is topology A's: what is behind ends TLS.
	goodTCP = `
defaults
    mode tcp
    retries 0
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout tunnel 1h
frontend kas
    bind LISTEN
    default_backend edge
backend edge
    server edge-1 EDGE send-proxy-v2
`
	// goodTerminating ends TLS before the edge.
	goodTerminating = `
defaults
    mode tcp
    retries 0
    timeout connect 5s
    timeout client 1h
    timeout server 1h
frontend kas
    bind LISTEN ssl crt CERTS/good.pem alpn http/1.1,h2
    default_backend edge
backend edge
    server edge-1 CLEAR
`
	// goodHTTP routes by path.
	goodHTTP = `
defaults
    mode http
    retries 0
    timeout connect 5s
    timeout client 1h
    timeout server 1h
    timeout tunnel 1h
frontend kas
    bind LISTEN ssl crt CERTS/good.pem alpn h2,http/1.1
    use_backend grpc if { path_beg /gitlab.agent. }
    use_backend api if { path_beg /k8s-proxy }
    default_backend agents
backend grpc
    server grpc-1 AGENTS proto h2
backend api
    server api-1 API
backend agents
    server agents-1 AGENTS
`
)

// haproxyRows are by the configuration that they change.
func haproxyRows() map[string][]row {
	return map[string][]row{
		goodTCP: {
			{name: "the PROXY header is missing", change: []string{" send-proxy-v2", ""}, layer: CheckProxyHeader, code: codeProxy, why: "nothing on the way sends one", line: "server edge-1"},
			{name: "a PROXY header that the edge does not take", change: []string{"send-proxy-v2", "send-proxy"}, layer: CheckTLS, code: codeTLS, why: "PROXY header", line: "server edge-1"},
			{name: "a PROXY header is unexpected", change: []string{"EDGE send-proxy-v2", "CLEAR send-proxy-v2"}, layer: CheckTLS, code: codeTLS, why: "PROXY header", line: "server edge-1"},
			{of: "A7", name: "WebSockets to a listener for gRPC", change: []string{"bind LISTEN", "bind LISTEN ssl crt CERTS/good.pem alpn h2,http/1.1", "EDGE send-proxy-v2", "PLAINGRPC"}, layer: CheckHTTP, code: codeHTTP2Only, why: `\x00\x00\x06\x04`, line: "server edge-1"},
			{of: "D47", name: "old processes are ended at once", change: []string{"\ndefaults\n", "\nglobal\n    hard-stop-after 1s\ndefaults\n"}, layer: CheckReload, code: codeReload, warn: true, why: "soon after each reload", line: "hard-stop-after 1s"},
			{of: "A9", name: "nobody behind the balancer", change: []string{"EDGE", "DEAD"}, layer: CheckTLS, code: codeTLS, why: "reaches its backend", line: "server edge-1"},
			{of: "D31", name: "silent streams are cut", change: []string{"timeout tunnel 1h", "timeout tunnel 1s"}, with: idle, layer: CheckIdleWebSocket, code: codeIdle, why: "is cut after", line: "timeout tunnel 1s"},
		},
		goodTerminating: {
			{of: "D41", name: "no h2 in ALPN", change: []string{"http/1.1,h2", "http/1.1"}, layer: CheckALPN, code: codeALPN, warn: true, why: "take h2", line: "bind "},
			{of: "D41", name: "no ALPN", change: []string{" alpn http/1.1,h2", ""}, layer: CheckALPN, code: codeALPN, warn: true, why: "without h2", line: "bind "},
			{name: "h2 is preferred before the edge", change: []string{"http/1.1,h2", "h2,http/1.1"}, layer: CheckHTTP, code: codeALPN, why: "prefer http/1.1", line: "bind "},
			{name: "h2 alone", change: []string{"http/1.1,h2", "h2"}, layer: CheckHTTP, code: codeALPN, why: "answered as gRPC", line: "bind "},
			{of: "C26", name: "another certificate", change: []string{"good.pem", "other.pem"}, layer: CheckCertName, code: codeCertName, why: "gitlab.example.com", line: "bind "},
			{of: "C27", name: "cleartext to TLS", change: []string{"server edge-1 CLEAR", "server edge-1 TLSKAS"}, layer: CheckAgentWebSocket, code: codeGateway, why: hasTLS, line: "server edge-1"},
			{of: "C23", name: "a cleartext port", change: []string{" ssl crt CERTS/good.pem alpn http/1.1,h2", ""}, layer: CheckTLS, code: codeTLS, why: "cleartext", line: "bind "},
		},
		goodHTTP: {
			{of: "A4", name: "one backend only", change: []string{"    use_backend api if { path_beg /k8s-proxy }\n", ""}, layer: CheckProxyPath, code: codeAgentPort, why: "8154", line: "default_backend agents"},
			{of: "D34", name: "a health check that kas does not answer", change: []string{"backend agents\n    server", "backend agents\n    option httpchk GET /liveness\n    http-check expect status 200\n    default-server check inter 100ms fall 1\n    server"}, await: 503, layer: CheckAgentWebSocket, code: codeGateway, why: "health checks", line: "option httpchk"},
			{of: "C27", name: "cleartext to the TLS of the Kubernetes API", change: []string{"server api-1 API", "server api-1 TLSKAS"}, layer: CheckProxyPath, code: codeGateway, why: hasTLS, line: "server api-1"},
			{of: "C27", name: "cleartext to the TLS of the agents' port", change: []string{"server agents-1 AGENTS", "server agents-1 TLSKAS"}, layer: CheckAgentWebSocket, code: codeGateway, why: hasTLS, line: "server agents-1"},
			{of: "C27", name: "gRPC in cleartext to TLS", change: []string{"server grpc-1 AGENTS proto h2", "server grpc-1 TLSKAS"}, layer: CheckGRPC, code: codeGateway, why: hasTLS, line: "server grpc-1"},
			{of: "C27", name: "TLS to the cleartext of the Kubernetes API", change: []string{"server api-1 API", "server api-1 API ssl verify none"}, layer: CheckProxyPath, code: codeGateway, why: "it is TLS that the front speaks", line: "server api-1"},
			{of: "C27", name: "TLS by default to the cleartext of the agents' port", change: []string{"\nbackend agents\n", "\nbackend agents\n    default-server ssl verify none\n"}, layer: CheckAgentWebSocket, code: codeGateway, why: "it is TLS that the front speaks", line: "default-server ssl"},
			{of: "C27", name: "kas's certificate is of another CA", change: []string{"server api-1 API", "server api-1 TLSKAS ssl verify required ca-file CERTS/good.crt"}, layer: CheckProxyPath, code: codeGateway, why: "whose CA the front trusts", line: "server api-1"},
			{of: "D35", name: "upgrades are taken away", change: []string{"    use_backend grpc", "    http-request del-header Upgrade\n    use_backend grpc"}, layer: CheckAgentWebSocket, code: codeWebSocket, why: "426", line: "http-request del-header"},
			{of: "D39", name: "HTTP/2 to the Kubernetes API", change: []string{"server api-1 API", "server api-1 API proto h2"}, layer: CheckProxyPath, code: codeGateway, why: "HTTP/1.1 with HTTP/2", line: "server "},
			{of: "D42", name: "HTTP/2 to the agents' port", change: []string{"server agents-1 AGENTS", "server agents-1 AGENTS proto h2"}, layer: CheckAgentWebSocket, code: codeGateway, why: "502", line: "server "},
			{of: "D44", name: "gRPC goes on as HTTP/1.1", change: []string{" proto h2", ""}, layer: CheckGRPC, code: codeGRPC, why: "proto h2", line: "server grpc-1"},
			{name: "an error page", change: []string{"backend api\n", "backend api\n    http-response return status 401 content-type text/html string <html> if { status 401 }\n"}, layer: CheckProxyPath, code: codeErrorPage, why: "errorfile", line: "http-response return"},
			{name: "requests are refused", change: []string{"    use_backend grpc", "    http-request deny if { path_beg /k8s-proxy }\n    use_backend grpc"}, layer: CheckProxyPath, code: codeNotKAS, why: "firewall", line: "http-request deny"},
			{of: "D31", name: "silent streams are cut", change: []string{"timeout tunnel 1h", "timeout tunnel 1s"}, with: idle, layer: CheckIdleWebSocket, code: codeIdle, why: "is cut after", line: "timeout tunnel 1s"},
		},
	}
}

func TestHAProxy(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	t.Run("rows", func(t *testing.T) {
		for config, list := range haproxyRows() {
			for _, r := range list {
				t.Run(strings.TrimSpace(r.of+" "+r.name), func(t *testing.T) {
					t.Parallel()
					address, dir := l.haproxy(t, edit(t, config, r.change...))
					r.check(t, l, address, dir)
				})
			}
		}
	})
}

// TestGoodHAProxy has nothing to say of files without a fault.
func TestGoodHAProxy(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	for name, config := range map[string]string{"TCP": goodTCP, "terminating": goodTerminating, "HTTP": goodHTTP} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, dir := l.haproxy(t, config)
			o := l.options(t, address, dir)
			o.Idle = time.Second
			for _, c := range Run(t.Context(), o).Checks {
				if c.Result != Pass && c.Result != Skip && (c.Code != codeGRPCALPN || name != "HTTP") {
					t.Errorf("%s: %s %s: %s", c.ID, c.Result, c.Code, c.Observed)
				}
			}
		})
	}
}
