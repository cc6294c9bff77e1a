package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kasgen/internal/cli"
	"kasgen/runtime"
	"kasgen/runtime/probe"
	"kasgen/scenarios/lab"
)

// fault is a change of a bundle, and what the probe makes of it.
type fault struct {
	name     string
	file     string
	old, new string                       // text of one line of the file
	every    bool                         // of each line that has it
	prepare  func(t *testing.T, w *world) // what lies in the state directory, instead

	check probe.ID // that fails first, or is the first to warn
	code  string
	line  string // is in the line that is named
	on    string // the name that it is about; empty: kas.example.com
	warn  bool
	by    lab.Way // only seen with a token of this agent
	idle  bool    // only seen by who waits
	also  []probe.ID
}

const (
	nginxFile   = "nginx/nginx.conf"
	streamFile  = "nginx/stream.conf"
	haproxyFile = "haproxy/haproxy.cfg"
	edgeFile    = "edge/edge.yaml"
	kasFile     = "kas/kas-config.yaml"
)

const (
	terminate   = "loadBalancer: {tls: terminate}\n"
	nginxStream = "loadBalancer: {kind: nginx-stream, tls: terminate}\n"
	grpcName    = "kas-grpc.example.com"
)

// spoiled is a kind of bundle, and its faults.
type spoiled struct {
	topology, more string
	faults         []fault
}

func bundles() []spoiled {
	return []spoiled{
		{"A", "", passingFaults()},
		{"A", terminate, terminatingFaults()},
		{"A", nginxStream, streamFaults()},
		{"B", "", twoNameFaults()},
		{"D", "", vhostFaults()},
		{"packaged", "", packagedFaults()},
	}
}

// passingFaults are of topology A, whose balancer passes TLS to the edge.
func passingFaults() []fault {
	return []fault{
		{name: "no PROXY header is sent", file: haproxyFile, old: " send-proxy-v2 check-send-proxy", new: "", check: probe.CheckProxyHeader, code: "KAS3203", line: "server edge-1"},
		{name: "an older PROXY header is sent", file: haproxyFile, old: "send-proxy-v2", new: "send-proxy", check: probe.CheckTLS, code: "KAS3203", line: "server edge-1"},
		{name: "the edge wants no PROXY header", file: edgeFile, old: "proxyProtocol: v2", new: "proxyProtocol: none", check: probe.CheckTLS, code: "KAS3203", line: "proxyProtocol: none"},
		{name: "the balancer wants a PROXY header", file: haproxyFile, old: "bind 127.0.0.1:{front}", new: "bind 127.0.0.1:{front} accept-proxy", check: probe.CheckProxyHeader, code: "KAS3203", line: "accept-proxy"},
		{name: "nobody behind the balancer", file: haproxyFile, old: "server edge-1 127.0.0.1:{edge}", new: "server edge-1 127.0.0.1:9", check: probe.CheckTLS, code: "KAS3204", line: "server edge-1 127.0.0.1:9"},
		{name: "HTTP/2 is preferred", file: edgeFile, old: "        - http/1.1\n        - h2\n", new: "        - h2\n        - http/1.1\n", check: probe.CheckHTTP, code: "KAS3208", line: "alpn:"},
		{name: "no HTTP/2", file: edgeFile, old: "        - h2\n", new: "", check: probe.CheckGRPC, code: "KAS3214", line: "alpn:"},
		{name: "another name is served", file: edgeFile, old: "- kas.example.com", new: "- kas.example.org", check: probe.CheckTLS, code: "KAS3206", line: "serverNames:"},
		{name: "another name's certificate", prepare: otherName, check: probe.CheckCertName, code: "KAS3206", line: "certificateFile:"},
		{name: "an expired certificate", prepare: expired, check: probe.CheckExpiry, code: "KAS3207", line: "certificateFile:"},
		{name: "another CA's certificate", prepare: otherCA, check: probe.CheckChain, code: "KAS3205", line: "certificateFile:"},
		{name: "no route for gRPC", file: edgeFile, old: "      grpc: agent\n", new: "", check: probe.CheckGRPC, code: "KAS3214", line: "routes:"},
		{name: "no route for the proxy", file: edgeFile, old: "prefix: /k8s-proxy", new: "prefix: /elsewhere", check: probe.CheckProxyPath, code: "KAS3216", line: "prefix: /"},
		{name: "the proxy's port is wrong", file: edgeFile, old: "address: 127.0.0.1:{api}", new: "address: 127.0.0.1:9", check: probe.CheckProxyPath, code: "KAS3218", line: "address: 127.0.0.1:9"},
		{name: "the agents' port is wrong", file: edgeFile, old: "address: 127.0.0.1:{agents}", new: "address: 127.0.0.1:9", check: probe.CheckAgentWebSocket, code: "KAS3218", line: "address: 127.0.0.1:9"},
		{name: "both ports are the agents'", file: edgeFile, old: "address: 127.0.0.1:{api}", new: "address: 127.0.0.1:{agents}", check: probe.CheckProxyPath, code: "KAS3216", line: "address: 127.0.0.1:{agents}"},
		{name: "SPDY is refused", file: edgeFile, old: "            - SPDY/3.1\n", new: "", check: probe.CheckUpSPDY, code: "KAS3221", line: "upgrades:"},
		{name: "the prefix is taken off", file: edgeFile, old: "          prefix: /k8s-proxy\n", new: "          prefix: /k8s-proxy\n          strip: true\n", check: probe.CheckProxyPath, code: "KAS3217", line: "strip: true"},
		{name: "kas has another prefix", file: kasFile, old: "url_path_prefix: /k8s-proxy", new: "url_path_prefix: /other", check: probe.CheckProxyPath, code: "KAS3217", line: "url_path_prefix: /other"},
		{name: "silence is cut", file: haproxyFile, old: "timeout tunnel 2h", new: "timeout tunnel 2s", check: probe.CheckIdleWebSocket, code: "KAS3225", line: "timeout tunnel 2s", idle: true, also: []probe.ID{probe.CheckIdleGRPC}},
		{name: "streams end at a reload", file: haproxyFile, old: "hard-stop-after 30s", new: "hard-stop-after 1s", check: probe.CheckReload, code: "KAS3226", line: "hard-stop-after 1s", warn: true},
		{name: "kas takes agents by gRPC alone", file: kasFile, old: "    websocket: true\n", new: "", check: probe.CheckAgentWebSocket, code: "KAS3211", line: "listen:"},
	}
}

// terminatingFaults are of topology A, whose balancer ends TLS.
func terminatingFaults() []fault {
	return []fault{
		{name: "HTTP/2 is preferred", file: haproxyFile, old: "alpn http/1.1,h2", new: "alpn h2,http/1.1", check: probe.CheckHTTP, code: "KAS3208", line: "alpn h2,http/1.1"},
		{name: "no HTTP/2", file: haproxyFile, old: "alpn http/1.1,h2", new: "alpn http/1.1", check: probe.CheckGRPC, code: "KAS3214", line: "alpn http/1.1"},
		{name: "no ALPN", file: haproxyFile, old: " alpn http/1.1,h2", new: "", check: probe.CheckGRPC, code: "KAS3214", line: "bind "},
		{name: "another name's certificate", prepare: otherName, check: probe.CheckCertName, code: "KAS3206", line: "bind "},
		{name: "an expired certificate", prepare: expired, check: probe.CheckExpiry, code: "KAS3207", line: "bind "},
	}
}

// streamFaults are of topology A behind nginx's stream module.
func streamFaults() []fault {
	return []fault{
		{name: "no PROXY header is sent", file: streamFile, old: "        proxy_protocol on;\n", new: "", check: probe.CheckHTTP, code: "KAS3203", line: "proxy_pass"},
		{name: "HTTP/2 is preferred", file: streamFile, old: "ssl_alpn http/1.1 h2", new: "ssl_alpn h2 http/1.1", check: probe.CheckHTTP, code: "KAS3208", line: "ssl_alpn h2 http/1.1"},
		{name: "no HTTP/2", file: streamFile, old: "ssl_alpn http/1.1 h2", new: "ssl_alpn http/1.1", check: probe.CheckGRPC, code: "KAS3214", line: "ssl_alpn http/1.1"},
		{name: "an expired certificate", prepare: expired, check: probe.CheckExpiry, code: "KAS3207", line: "ssl_certificate "},
		{name: "silence is cut", file: streamFile, old: "proxy_timeout 2h;", new: "proxy_timeout 2s;", check: probe.CheckIdleWebSocket, code: "KAS3225", line: "proxy_timeout 2s;", idle: true, also: []probe.ID{probe.CheckIdleGRPC}},
		{name: "nobody behind the balancer", file: streamFile, old: "server 127.0.0.1:{edge};", new: "server 127.0.0.1:9;", check: probe.CheckHTTP, code: "KAS3209", line: "server 127.0.0.1:9;"},
	}
}

// twoNameFaults are of topology B.
func twoNameFaults() []fault {
	return []fault{
		{name: "gRPC's name is not chosen", file: haproxyFile, old: "req.ssl_sni -i kas-grpc.example.com", new: "req.ssl_sni -i grpc.example.com", check: probe.CheckTLS, code: "KAS3206", line: "use_backend grpc-balancer", on: grpcName},
		{name: "gRPC's balancer gets no PROXY header", file: haproxyFile, old: "server grpc-balancer 127.0.0.1:{grpc} send-proxy-v2", new: "server grpc-balancer 127.0.0.1:{grpc}", check: probe.CheckTLS, code: "KAS3203", line: "server grpc-balancer", on: grpcName},
		{name: "gRPC's balancer wants no PROXY header", file: haproxyFile, old: " accept-proxy ssl", new: " ssl", check: probe.CheckTLS, code: "KAS3203", line: "server grpc-balancer", on: grpcName},
		{name: "no HTTP/2 from clients", file: haproxyFile, old: "alpn h2", new: "alpn http/1.1", check: probe.CheckGRPC, code: "KAS3214", line: "alpn http/1.1", on: grpcName},
		{name: "no HTTP/2 to kas", file: haproxyFile, old: " proto h2", new: "", check: probe.CheckGRPC, code: "KAS3214", line: "server agent-1", on: grpcName},
		{name: "TLS to kas's cleartext", file: haproxyFile, old: "server agent-1 127.0.0.1:{agents}", new: "server agent-1 127.0.0.1:{agents} ssl verify none", check: probe.CheckGRPC, code: "KAS3218", line: "server agent-1", on: grpcName},
		{name: "agents' calls are refused", file: haproxyFile, old: "path_beg /gitlab.agent.", new: "path_beg /other.", check: probe.CheckGRPC, code: "KAS3214", line: "http-request deny", on: grpcName},
		{name: "kas's port for gRPC is wrong", file: haproxyFile, old: "server agent-1 127.0.0.1:{agents}", new: "server agent-1 127.0.0.1:9", check: probe.CheckGRPC, code: "KAS3218", line: "server agent-1 127.0.0.1:9", on: grpcName},
		{name: "another name's certificate", prepare: otherName, check: probe.CheckCertName, code: "KAS3206", line: "certificateFile:"},
		{name: "silence is cut", file: haproxyFile, old: "timeout tunnel 2h", new: "timeout tunnel 2s", check: probe.CheckIdleWebSocket, code: "KAS3225", line: "timeout tunnel 2s", by: lab.GRPCS, idle: true,
			also: []probe.ID{probe.CheckIdleHTTP, probe.CheckIdleExecWS, probe.CheckIdleExecSPDY}},
		{name: "silence of gRPC is cut", file: haproxyFile, old: "timeout server 2h", new: "timeout server 2s", check: probe.CheckIdleGRPC, also: []probe.ID{probe.CheckIdleAnswer}, code: "KAS3225", line: "timeout server 2s", on: grpcName, by: lab.WSS, idle: true},
	}
}

// vhostFaults are of topology D.
func vhostFaults() []fault {
	return []fault{
		{name: "the Upgrade header is lost", file: nginxFile, old: "        proxy_set_header Upgrade $http_upgrade;\n", new: "", check: probe.CheckAgentWebSocket, code: "KAS3211", line: "proxy_pass http://agent;"},
		{name: "the Connection header is lost", file: nginxFile, old: "        proxy_set_header Connection $connection_upgrade;\n", new: "", check: probe.CheckAgentWebSocket, code: "KAS3211", line: "proxy_pass http://agent;"},
		{name: "the Connection header closes", file: nginxFile, old: "        default upgrade;", new: "        default close;", check: probe.CheckAgentWebSocket, code: "KAS3211", line: "default close;"},
		{name: "HTTP/1.0 to kas", file: nginxFile, old: "        proxy_http_version 1.1;\n", new: "", check: probe.CheckAgentWebSocket, code: "KAS3211", line: "proxy_pass http://agent;"},
		{name: "answers are buffered", file: nginxFile, old: "proxy_buffering off;", new: "proxy_buffering on;", check: probe.CheckStreaming, code: "KAS3223", line: "proxy_buffering on;", by: lab.WSS},
		{name: "bodies are limited", file: nginxFile, old: "client_max_body_size 0;", new: "client_max_body_size 1m;", every: true, check: probe.CheckBody, code: "KAS3224", line: "client_max_body_size 1m;"},
		{name: "gRPC goes on as HTTP/1.1", file: nginxFile, old: "grpc_pass grpc://agent;", new: "proxy_pass http://agent;", check: probe.CheckGRPC, code: "KAS3214", line: "proxy_pass http://agent;", on: grpcName},
		{name: "no HTTP/2", file: nginxFile, old: " ssl http2", new: " ssl", every: true, check: probe.CheckGRPC, code: "KAS3214", line: "listen 127.0.0.1:{front} ssl;", on: grpcName},
		{name: "a PROXY header is wanted", file: nginxFile, old: "listen 127.0.0.1:{front} default_server ssl http2", new: "listen 127.0.0.1:{front} default_server ssl http2 proxy_protocol", check: probe.CheckProxyHeader, code: "KAS3203", line: "proxy_protocol"},
		{name: "the agents' port is wrong", file: nginxFile, old: "server 127.0.0.1:{agents};", new: "server 127.0.0.1:9;", check: probe.CheckAgentWebSocket, code: "KAS3218", line: "server 127.0.0.1:9;"},
		{name: "the proxy's port is wrong", file: nginxFile, old: "server 127.0.0.1:{api};", new: "server 127.0.0.1:9;", check: probe.CheckProxyPath, code: "KAS3218", line: "server 127.0.0.1:9;"},
		{name: "the proxy's port is the agents'", file: nginxFile, old: "server 127.0.0.1:{api};", new: "server 127.0.0.1:{agents};", check: probe.CheckProxyPath, code: "KAS3216", line: "server 127.0.0.1:{agents};"},
		{name: "TLS to cleartext", file: nginxFile, old: "proxy_pass http://agent;", new: "proxy_pass https://agent;", check: probe.CheckAgentWebSocket, code: "KAS3218", line: "proxy_pass https://agent;"},
		{name: "TLS to the proxy's cleartext", file: nginxFile, old: "proxy_pass http://kubernetes-api;", new: "proxy_pass https://kubernetes-api;", every: true, check: probe.CheckProxyPath, code: "KAS3218", line: "proxy_pass https://kubernetes-api;"},
		{name: "cleartext to a port with TLS", file: nginxFile, old: "server 127.0.0.1:{api};", new: "server 127.0.0.1:{front};", check: probe.CheckProxyPath, code: "KAS3218", line: "proxy_pass http://kubernetes-api;"},
		{name: "streams end at a reload", file: nginxFile, old: "worker_shutdown_timeout 30s;", new: "worker_shutdown_timeout 1s;", check: probe.CheckReload, code: "KAS3226", line: "worker_shutdown_timeout 1s;", warn: true},
		{name: "no location for the proxy", file: nginxFile, old: "location /k8s-proxy/ {", new: "location /elsewhere/ {", check: probe.CheckProxyPath, code: "KAS3216", line: "location / {"},
		{name: "another name's vhost", file: nginxFile, old: "        server_name kas.example.com;\n        ssl_", new: "        server_name kas.example.org;\n        ssl_", check: probe.CheckTLS, code: "KAS3206", line: "server {"},
		{name: "gRPC's name is missing", file: nginxFile, old: "        server_name kas-grpc.example.com;\n", new: "        server_name grpc.example.com;\n", check: probe.CheckTLS, code: "KAS3206", line: "server {", on: grpcName},
		{name: "another name's certificate", prepare: otherName, check: probe.CheckCertName, code: "KAS3206", line: "ssl_certificate "},
		{name: "an expired certificate", prepare: expired, check: probe.CheckExpiry, code: "KAS3207", line: "ssl_certificate "},
		{name: "kas has another prefix", file: kasFile, old: "url_path_prefix: /k8s-proxy", new: "url_path_prefix: /other", check: probe.CheckProxyPath, code: "KAS3217", line: "url_path_prefix: /other"},
		{name: "silence is cut", file: nginxFile, old: "proxy_read_timeout 2h;", new: "proxy_read_timeout 2s;", check: probe.CheckIdleWebSocket, code: "KAS3225", line: "proxy_read_timeout 2s;", by: lab.GRPCS, idle: true,
			also: []probe.ID{probe.CheckIdleHTTP, probe.CheckIdleExecWS}},
		{name: "a silent gRPC request is cut", file: nginxFile, old: "client_body_timeout 2h;", new: "client_body_timeout 2s;", every: true, check: probe.CheckIdleGRPC, code: "KAS3225", line: "client_body_timeout 2s;", on: grpcName, idle: true},
		{name: "a silent gRPC answer is cut", file: nginxFile, old: "grpc_read_timeout 2h;", new: "grpc_read_timeout 2s;", check: probe.CheckIdleAnswer, code: "KAS3225", line: "grpc_read_timeout 2s;", on: grpcName, by: lab.WSS, idle: true},
		{name: "everything is redirected", file: nginxFile, old: "            proxy_pass http://agent;\n", new: "            return 301 https://gitlab.example.com/;\n", check: probe.CheckRedirect, code: "KAS3210", line: "location / {"},
		{name: "credentials are taken away", file: nginxFile, old: "        proxy_set_header X-Real-IP $remote_addr;", new: `        proxy_set_header Authorization "";`, check: probe.CheckRequest, code: "KAS3222", line: "proxy_set_header Authorization", by: lab.WSS},
	}
}

// packagedFaults are of the packaged vhost, one name for everything.
func packagedFaults() []fault {
	return []fault{
		{name: "the prefix is not taken off", file: nginxFile, old: "            proxy_pass http://kubernetes-api/;\n        }\n\n        # agents", new: "            proxy_pass http://kubernetes-api;\n        }\n\n        # agents", check: probe.CheckUpWebSocket, code: "KAS3217", line: "proxy_pass http://kubernetes-api;"},
		{name: "kas has a prefix", file: kasFile, old: "url_path_prefix: /\n", new: "url_path_prefix: /k8s-proxy\n", check: probe.CheckProxyPath, code: "KAS3217", line: "url_path_prefix: /k8s-proxy"},
		{name: "no location for gRPC", file: nginxFile, old: "location /gitlab.agent. {", new: "location /gitlab.agents. {", check: probe.CheckGRPC, code: "KAS3214", line: "proxy_pass http://agent;"},
		{name: "silence is cut", file: nginxFile, old: "proxy_read_timeout 2h;", new: "proxy_read_timeout 2s;", check: probe.CheckIdleWebSocket, code: "KAS3225", line: "proxy_read_timeout 2s;", by: lab.GRPCS, idle: true,
			also: []probe.ID{probe.CheckIdleHTTP, probe.CheckIdleExecWS, probe.CheckIdleExecSPDY}},
		{name: "a silent gRPC answer is cut", file: nginxFile, old: "grpc_read_timeout 2h;", new: "grpc_read_timeout 2s;", check: probe.CheckIdleAnswer, code: "KAS3225", line: "grpc_read_timeout 2s;", by: lab.WSS, idle: true},
		{name: "the path without its slash", file: nginxFile, old: "location = /k8s-proxy {", new: "location = /k8s-proxies {", check: probe.CheckRedirect, code: "KAS3210", line: "location /k8s-proxy/ {", warn: true},
		{name: "the body of gRPC is limited", file: nginxFile, old: "            grpc_pass grpc://agent;", new: "            client_max_body_size 1m; grpc_pass grpc://agent;", check: probe.CheckGRPCBody, code: "KAS3224", line: "client_max_body_size 1m;"},
	}
}

// TestFaults: each change is named with its line, on either front.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, front := range fronts() {
		for _, b := range bundles() {
			for _, f := range b.faults {
				kind := strings.NewReplacer("loadBalancer: ", "", "\n", "").Replace(b.more)
				t.Run(strings.TrimSpace(fmt.Sprintf("%s %s%s %s", front, b.topology, kind, f.name)), func(t *testing.T) {
					t.Parallel()
					f.try(t, front, b)
				})
			}
		}
	}
}

func (f fault) try(t *testing.T, front runtime.Programs, b spoiled) {
	w := render(t, front, b.topology, b.more)
	line := f.line
	if f.file != "" {
		line = w.spoil(t, f)
	}
	if f.prepare != nil {
		f.prepare(t, w)
	}
	w.start(t, f.by == "")
	var flags []string
	if f.idle {
		flags = []string{"--idle", "--wait", "4s"}
	}
	r, code := w.probe(t, f.by, flags...)
	defer func() {
		if t.Failed() {
			show(t, r)
		}
	}()
	want := cli.Failure
	if f.warn {
		want = cli.Done
	}
	if code != want {
		t.Errorf("exit code %d, want %d", code, want)
	}
	on := f.on
	if on == "" {
		on = "kas.example.com"
	}
	f.everywhere(t, r, line)
	for _, c := range r.Checks {
		if c.Result != probe.Fail && !(f.warn && c.Result == probe.Warn && c.Code != "KAS3215") {
			continue
		}
		if c.ID != f.check || c.Code != f.code || c.Name != on {
			t.Errorf("%s of %s, %s; want %s of %s, %s", c.ID, c.Name, c.Code, f.check, on, f.code)
		}
		names(t, c, line)
		return
	}
	t.Error("nothing is found")
}

// everywhere looks for the other checks that fail for the same reason.
func (f fault) everywhere(t *testing.T, r *probe.Report, line string) {
	t.Helper()
	for _, id := range f.also {
		c, ok := r.Check(id)
		if !ok || c.Result != probe.Fail || c.Code != f.code {
			t.Errorf("%s: %s %s, want a failure by %s", id, c.Result, c.Code, f.code)
			continue
		}
		names(t, c, line)
	}
}

// names holds a check to the line that it names.
func names(t *testing.T, c probe.Check, line string) {
	t.Helper()
	if c.At == nil {
		t.Fatalf("%s: no line is named, want one with %q", c.ID, line)
	}
	data, err := os.ReadFile(c.At.File)
	if err != nil {
		t.Fatal(err)
	}
	if named := strings.Split(string(data), "\n")[c.At.Line-1]; !strings.Contains(named, line) {
		t.Errorf("%s: the line named is %v %q (%s), want one with %q", c.ID, c.At, named, c.Line, line)
	}
}

// spoil changes the file, and returns the text of the line that is to be named.
func (w *world) spoil(t *testing.T, f fault) string {
	t.Helper()
	path := filepath.Join(w.dir, f.file)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	ports := w.ports(t)
	text, old, line := string(data), ports.Replace(f.old), ports.Replace(f.line)
	n := strings.Count(text, old)
	if n == 0 || n > 1 && !f.every {
		t.Fatalf("%s has %q %d times\n%s", f.file, old, n, text)
	}
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, old, ports.Replace(f.new))), 0o644); err != nil {
		t.Fatal(err)
	}
	return line
}
