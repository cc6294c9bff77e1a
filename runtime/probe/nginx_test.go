package probe

import (
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// goodNginx carries everything.
const goodNginx = `
events {}
http {
    access_log off;
    map $http_upgrade $connection_upgrade { default upgrade; "" close; }
    server {
        listen LISTEN ssl http2;
        server_name kas.example.com;
        ssl_certificate CERTS/good.crt;
        ssl_certificate_key CERTS/good.key;
        client_max_body_size 0;
        proxy_http_version 1.1;
        proxy_buffering off;
        proxy_request_buffering off;
        proxy_read_timeout 2h;
        proxy_set_header Host $http_host;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
        location /gitlab.agent. {
            grpc_pass grpc://AGENTS;
        }
        location = /k8s-proxy {
            proxy_pass http://API;
        }
        location /k8s-proxy/ {
            proxy_pass http://API;
        }
        location / {
            proxy_pass http://AGENTS;
        }
    }
    server {
        listen LISTEN ssl http2 default_server;
        server_name gitlab.example.com;
        ssl_certificate CERTS/other.crt;
        ssl_certificate_key CERTS/other.key;
        location / { default_type text/html; return 404 "<html>not here</html>"; }
    }
}
`

// row is a configuration that is wrong, and what the probe makes of it.
type row struct {
	of     string // the row of the list of what users stumble over, "" for one of our own
	name   string
	change []string // pairs: text, other text
	layer  ID       // the first that does not pass
	code   string
	warn   bool   // it is a warning
	why    string // is in Observed, Why or Fix
	line   string // is in the line that is blamed; "" for none
	with   func(*Options)
	await  int // the status of / that shows that the front has made up its mind
}

func nginxRows() []row {
	const names = "server_name kas.example.com;"
	api, agents := "proxy_pass http://API;", "proxy_pass http://AGENTS;"
	upgrade, connection := "        proxy_set_header Upgrade $http_upgrade;\n", "        proxy_set_header Connection $connection_upgrade;\n"
	subPath := func(o *Options) { o.KAS.Path = "/-/kubernetes-agent/" }
	onSubPath := []string{"location /k8s-proxy/ {\n            proxy_pass http://API;", "location /-/kubernetes-agent/k8s-proxy/ {\n            proxy_pass http://API/k8s-proxy/;",
		"location = /k8s-proxy {", "location = /-/kubernetes-agent/k8s-proxy {", "location / {\n            proxy_pass http://AGENTS;", "location /-/kubernetes-agent/ {\n            proxy_pass http://AGENTS/;"}
	return []row{
		{of: "A1", name: "the address without its slash", change: onSubPath, with: subPath, layer: CheckRedirect, code: codeRedirect, warn: true, why: "101 but got 301", line: "location /-/kubernetes-agent/ {"},
		{of: "A1", name: "a redirect of everything", change: []string{agents, "return 301 https://$host/users/sign_in;"}, layer: CheckRedirect, code: codeRedirect, why: "do not follow redirects", line: "location / {"},
		{of: "A2", name: "kas is down", change: []string{agents, "proxy_pass http://DEAD;"}, layer: CheckAgentWebSocket, code: codeGateway, why: "101 but got 502", line: "proxy_pass http://"},
		{of: "A2", name: "https to cleartext", change: []string{agents, "proxy_pass https://AGENTS;"}, layer: CheckAgentWebSocket, code: codeGateway, why: "http with https", line: "proxy_pass https://"},
		{of: "A3", name: "HTTP/1.0 to kas", change: []string{"        proxy_http_version 1.1;\n", ""}, layer: CheckAgentWebSocket, code: codeWebSocket, why: "HTTP/1.0", line: "proxy_pass http://"},
		{of: "A3", name: "no headers", change: []string{upgrade, "", connection, ""}, layer: CheckAgentWebSocket, code: codeWebSocket, why: "101 but got 426", line: "proxy_pass http://"},
		{of: "A3", name: "a location with a header of its own", change: []string{"location / {\n", "location / {\n proxy_set_header X-Of-Mine yes;\n"}, layer: CheckAgentWebSocket, code: codeWebSocket, why: "pass both headers", line: "proxy_pass http://"},
		{of: "A4", name: "one location only", change: []string{api, agents}, layer: CheckProxyPath, code: codeAgentPort, why: "status code 426", line: "proxy_pass http://"},
		{of: "A6", name: "the prefix is not taken away", change: []string{api, "proxy_pass http://BARE;"}, layer: CheckUpWebSocket, code: codePrefix, why: "take the prefix away", line: "proxy_pass http://"},
		{of: "A6", name: "the prefix is taken away and missed", change: []string{api, "proxy_pass http://API/;"}, layer: CheckProxyPath, code: codePrefix, why: "url_path_prefix", line: "proxy_pass http://"},
		{of: "A8", name: "no HTTP/2", change: []string{" http2;", ";", " http2 default_server", " default_server"}, layer: CheckALPN, code: codeALPN, warn: true, why: "h2", line: "listen "},
		{of: "C20", name: "a CA of their own", with: func(o *Options) { o.Roots = x509.NewCertPool() }, layer: CheckChain, code: codeChain, why: "config.kasCaCert", line: "ssl_certificate "},
		{of: "C25", name: "the name is missing from the certificate", change: []string{"CERTS/good.", "CERTS/other."}, layer: CheckCertName, code: codeCertName, why: "gitlab.example.com, not for kas.example.com", line: "ssl_certificate "},
		{of: "C26", name: "another vhost's certificate", change: []string{names, "server_name kas.example.org;"}, layer: CheckCertName, code: codeCertName, why: "default server", line: "server {"},
		{name: "expired", change: []string{"CERTS/good.", "CERTS/expired."}, layer: CheckExpiry, code: codeExpiry, why: "expired on", line: "ssl_certificate "},
		{name: "about to expire", change: []string{"CERTS/good.", "CERTS/soon."}, layer: CheckExpiry, code: codeExpiry, warn: true, why: "expires on", line: "ssl_certificate "},
		{of: "C27", name: "cleartext to the TLS of the Kubernetes API", change: []string{api, "proxy_pass http://TLSKAS;"}, layer: CheckProxyPath, code: codeGateway, why: hasTLS, line: "proxy_pass http://"},
		{of: "C27", name: "cleartext to the TLS of the agents' port", change: []string{agents, "proxy_pass http://TLSKAS;"}, layer: CheckAgentWebSocket, code: codeGateway, why: hasTLS, line: "proxy_pass http://"},
		{of: "C27", name: "cleartext to another nginx's TLS", change: []string{api, "proxy_pass http://LISTEN;"}, layer: CheckProxyPath, code: codeGateway, why: hasTLS, line: "proxy_pass http://"},
		{of: "C27", name: "gRPC in cleartext to TLS", change: []string{"grpc_pass grpc://AGENTS;", "grpc_pass grpc://TLSKAS;"}, layer: CheckGRPC, code: codeGateway, why: "grpc with grpcs", line: "grpc_pass grpc://"},
		{of: "C27", name: "kas's certificate is of another CA", change: []string{api, "proxy_pass https://TLSKAS; proxy_ssl_verify on; proxy_ssl_trusted_certificate CERTS/other.crt;"}, layer: CheckProxyPath, code: codeGateway, why: "whose CA the front trusts", line: "proxy_pass https://"},
		{of: "C29", name: "TLS that is too old", change: []string{names, names + " ssl_protocols TLSv1.1;", "        ssl_certificate CERTS/other.crt;", "        ssl_protocols TLSv1.1; ssl_certificate CERTS/other.crt;"}, layer: CheckTLS, code: codeTLS, why: "TLS 1.2", line: "ssl_protocols TLSv1.1"},
		{of: "A13", name: "another port", with: func(o *Options) { o.KAS.Host += ":8443"; o.Connect[""] = "127.0.0.1" }, layer: CheckTCP, code: codeTCP, why: "port", line: "listen "},
		{of: "D43", name: "an expression without its anchor", change: []string{"location / {\n", "location ~ agent { proxy_pass http://API; }\n        location / {\n"}, layer: CheckGRPC, code: codeGRPC, why: "Kubernetes API proxy", line: "location ~ agent"},
		{of: "C23", name: "cleartext", change: []string{" ssl http2", ""}, layer: CheckTLS, code: codeTLS, why: "cleartext", line: "listen "},
		{name: "a name that is refused", change: []string{names, "server_name kas.example.org;", "server_name gitlab.example.com;", "server_name gitlab.example.com; ssl_reject_handshake on;"}, layer: CheckTLS, code: codeCertName, why: "refuses TLS for the name", line: "server {"},
		{of: "D35", name: "SPDY is refused", change: []string{"location /k8s-proxy/ {\n", "location /k8s-proxy/ {\n if ($http_upgrade = SPDY/3.1) { return 400 'kas: exec passes here over WebSocket only'; }\n"}, layer: CheckUpSPDY, code: codeSPDY, warn: true, why: "kubectl before 1.31", line: "if ("},
		{of: "D35", name: "kubectl's upgrades are taken away", change: []string{"location /k8s-proxy/ {\n", "location /k8s-proxy/ {\n proxy_set_header Host $host;\n"}, layer: CheckUpWebSocket, code: codeUpgrade, why: "unable to upgrade connection", line: "proxy_pass http://"},
		{of: "D38", name: "Upgrade alone is taken away", change: []string{upgrade, "", "Connection $connection_upgrade", "Connection upgrade"}, layer: CheckAgentWebSocket, code: codeWebSocket, why: "takes the Upgrade header away", line: "proxy_pass http://"},
		{of: "D38", name: "Upgrade alone is taken away from kubectl", change: []string{"location /k8s-proxy/ {\n", "location /k8s-proxy/ {\n proxy_set_header Connection upgrade;\n"}, layer: CheckProxyPath, code: codeUpgrade, why: "missing upgrade headers in request", line: "proxy_pass http://"},
		{of: "D38", name: "Connection alone is taken away", change: []string{"Connection $connection_upgrade", "Connection close"}, layer: CheckAgentWebSocket, code: codeWebSocket, why: "Connection", line: "proxy_set_header Connection close"},
		{of: "D44", name: "gRPC goes on as HTTP/1.1", change: []string{"grpc_pass grpc://AGENTS;", agents}, layer: CheckGRPC, code: codeGRPC, why: "goes on as HTTP/1.1", line: "proxy_pass http://"},
		{of: "D44", name: "no location for gRPC", change: []string{"location /gitlab.agent. {\n            grpc_pass grpc://AGENTS;", "location /nothing {\n            return 404;"}, layer: CheckGRPC, code: codeGRPC, why: "426", line: "proxy_pass http://"},
		{of: "D45", name: "gRPC's body is limited", change: []string{"location /gitlab.agent. {\n", "location /gitlab.agent. {\n client_max_body_size 1m;\n"}, layer: CheckGRPCBody, code: codeBody, why: "client_max_body_size 0", line: "client_max_body_size 1m"},
		{of: "D45", name: "gRPC is cut when it is silent", change: []string{"location /gitlab.agent. {\n", "location /gitlab.agent. {\n client_body_timeout 1s;\n"}, with: idle, layer: CheckIdleGRPC, code: codeIdle, why: "cut after", line: "client_body_timeout 1s"},
		{of: "D46", name: "bodies are limited", change: []string{"location /k8s-proxy/ {\n", "location /k8s-proxy/ {\n client_max_body_size 1m;\n"}, layer: CheckBody, code: codeBody, why: "413", line: "client_max_body_size 1m"},
		{of: "D46", name: "bodies are limited by default", change: []string{"        client_max_body_size 0;\n", ""}, layer: CheckGRPCBody, code: codeBody, why: "body", line: "location /gitlab.agent. {"},
		{of: "D33", name: "WebSockets are cut when they are silent", change: []string{"proxy_read_timeout 2h", "proxy_read_timeout 1s"}, with: idle, layer: CheckIdleWebSocket, code: codeIdle, why: "is cut after", line: "proxy_read_timeout 1s"},
		{of: "D33", name: "exec is cut when it is silent", change: []string{api, "proxy_pass http://CLUSTER; proxy_read_timeout 1s;"}, with: func(o *Options) { shell(o); idle(o) }, layer: CheckIdleHTTP, code: codeIdle, why: "is cut after", line: "proxy_read_timeout 1s"},
		{name: "answers are buffered", change: []string{api, "proxy_pass http://CLUSTER;", "proxy_buffering off", "proxy_buffering on"}, with: shell, layer: CheckStreaming, code: codeBuffering, why: "at its end", line: "proxy_buffering on"},
		{of: "D47", name: "old workers are ended at once", change: []string{"events {}\n", "worker_shutdown_timeout 1s;\nevents {}\n"}, layer: CheckReload, code: codeReload, warn: true, why: "soon after each reload", line: "worker_shutdown_timeout 1s"},
		{of: "D48", name: "credentials are taken away", change: []string{connection, connection + "        proxy_set_header Authorization '';\n"}, with: shell, layer: CheckRequest, code: codeDenied, why: "takes the Authorization header away", line: "proxy_set_header Authorization"},
		{name: "the front's own pages", change: []string{api, api + " proxy_intercept_errors on; error_page 400 401 /error.html;", "location / {\n", "location = /error.html { internal; default_type text/html; return 200 '<html>'; }\n location / {\n"}, layer: CheckProxyPath, code: codeErrorPage, why: "proxy_intercept_errors", line: "error_page"},
		{name: "the default server answers", change: []string{names, "server_name kas.example.org;", "CERTS/other", "CERTS/good"}, layer: CheckAgentWebSocket, code: codeNotKAS, why: "404", line: "server {"},
		{name: "a PROXY header is wanted", change: []string{" ssl http2", " ssl http2 proxy_protocol"}, layer: CheckProxyHeader, code: codeProxy, why: "--proxy-protocol v2", line: "listen "},
		{name: "a PROXY header is not wanted", with: func(o *Options) { o.ProxyProtocol = "v2" }, layer: CheckProxyHeader, code: codeProxy, why: "without one only", line: "listen "},
		{name: "agents go to the proxy's port", change: []string{agents, api}, layer: CheckAgentWebSocket, code: codeAgentPort, why: "8150", line: "location / {"},
		{name: "kas takes gRPC only", change: []string{agents, "proxy_pass http://GRPCONLY;"}, layer: CheckAgentWebSocket, code: codeWebSocket, why: "agent.listen.websocket"},
	}
}

// hasTLS is said of a listener that is spoken to in cleartext.
const hasTLS = "cleartext is spoken to a listener that has TLS"

func idle(o *Options) { o.Idle = 3 * time.Second }

func shell(o *Options) {
	o.Token, o.Namespace, o.Pod, o.Watch = token, "default", "shell", 2*time.Second
}

func TestNginx(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	t.Run("rows", func(t *testing.T) {
		for _, r := range nginxRows() {
			t.Run(strings.TrimSpace(r.of+" "+r.name), func(t *testing.T) {
				t.Parallel()
				address, dir := l.nginx(t, edit(t, goodNginx, r.change...))
				r.check(t, l, address, dir)
			})
		}
	})
}

// TestKASWithTLS: the front speaks cleartext to kasgen's own kas, which has TLS.
func TestKASWithTLS(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	agents, api := startKAS(t, "websocket: true", filepath.Join(l.dir, "good"), "/k8s-proxy")
	for _, r := range []row{
		{change: []string{"proxy_pass http://API;", "proxy_pass http://" + api + ";"}, layer: CheckProxyPath, code: codeGateway, why: hasTLS, line: "proxy_pass http://" + api},
		{change: []string{"proxy_pass http://AGENTS;", "proxy_pass http://" + agents + ";"}, layer: CheckAgentWebSocket, code: codeGateway, why: hasTLS, line: "proxy_pass http://" + agents},
	} {
		address, dir := l.nginx(t, edit(t, goodNginx, r.change...))
		r.check(t, l, address, dir)
	}
}

// check probes, and compares what comes out first.
func (r row) check(t *testing.T, l *lab, address, dir string) {
	t.Helper()
	o := l.options(t, address, dir)
	if r.with != nil {
		r.with(&o)
	}
	if r.await != 0 {
		await(t, o, address, r.await)
	}
	report := Run(t.Context(), o)
	var text strings.Builder
	if err := report.text(&text); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if t.Failed() {
			t.Log(text.String())
		}
	}()
	var got *Check
	for i, c := range report.Checks {
		if c.Result == Fail || c.Result == Warn && r.warn && c.Code != codeGRPCALPN {
			got = &report.Checks[i]
			break
		}
	}
	if got == nil {
		t.Fatal("nothing is found")
	}
	if got.ID != r.layer || got.Code != r.code || (got.Result == Warn) != r.warn {
		t.Errorf("%s %s %s, want %s %s, warning %v", got.Result, got.ID, got.Code, r.layer, r.code, r.warn)
	}
	if !strings.Contains(got.Observed+got.Why+got.Fix, r.why) {
		t.Errorf("%q is not in %+v", r.why, got)
	}
	if line := blamed(t, got); (r.line == "") != (line == "") || !strings.Contains(line, r.line) {
		t.Errorf("the line is %q, want one with %q", line, r.line)
	}
}

// await asks for / until the answer has a status.
func await(t *testing.T, o Options, address string, status int) {
	t.Helper()
	o.Timeout = DefaultTimeout
	o.Now = time.Now
	e := newSession(o).kas
	e.address = address
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if a, err := e.exchange(t.Context(), request{method: "GET", path: "/"}); err == nil && a.status == status {
			return
		}
	}
	t.Fatalf("the front never answers %d", status)
}

// blamed is the text of the line that is named.
func blamed(t *testing.T, c *Check) string {
	t.Helper()
	if c.At == nil {
		return ""
	}
	data, err := os.ReadFile(c.At.File)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(data), "\n")
	if c.At.Line < 1 || c.At.Line > len(lines) {
		t.Fatalf("there is no line %d", c.At.Line)
	}
	return lines[c.At.Line-1]
}

// TestGoodNginx has nothing to say of a file without a fault, but that gRPC
// needs h2 in ALPN.
func TestGoodNginx(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	address, dir := l.nginx(t, goodNginx)
	o := l.options(t, address, dir)
	o.Idle = time.Second
	got := map[ID]string{}
	for _, c := range Run(t.Context(), o).Checks {
		got[c.ID] = strings.TrimSpace(fmt.Sprint(c.Result, " ", c.Code))
		t.Log(c.ID, c.Result, c.Observed)
	}
	for _, layer := range IDs() {
		want := "pass"
		switch layer {
		case CheckRequest, CheckStreaming, CheckExecWebSocket, CheckExecSPDY, CheckIdleAnswer, CheckIdleHTTP, CheckIdleExecWS, CheckIdleExecSPDY:
			want = "skip"
		case CheckGRPCNoALPN, CheckGRPCHTTP1:
			want = "warn " + codeGRPCALPN
		default:
		}
		if got[layer] != want {
			t.Errorf("%s: %s, want %s", layer, got[layer], want)
		}
	}
}
