// Package extract makes a bundle that runs of what a release's objects say: the
// files of kas and of the edge as their ConfigMaps have them, byte for byte, and
// for whoever takes HTTP in the cluster an nginx that is a model of it. It knows
// no Helm and runs nothing. Its law: nothing is in the bundle that the objects
// do not say, and what is a model says so.
package extract

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"kasgen/chart/proof"
	"kasgen/generator/bundle"
	"kasgen/internal/cli"
	"kasgen/internal/lockfile"
)

const (
	stateDir    = "/var/lib/kasgen"
	certificate = stateDir + "/tls/kas.crt"
	key         = stateDir + "/tls/kas.key"
	entrance    = "0.0.0.0:443" // of the model
)

// Bundle is what can be run of a proved release. promised is what the topology
// carries.
func Bundle(w proof.Want, r proof.Result, promised lockfile.Carries, digest string) (*bundle.Bundle, error) {
	if r.KAS == "" {
		return nil, fmt.Errorf("the objects have no kas")
	}
	files := []bundle.File{{Path: "kas/kas-config.yaml", Data: []byte(r.KAS)}}
	lock := lockfile.File{
		APIVersion: lockfile.APIVersion, Kind: lockfile.Kind, Kasgen: cli.Version, Topology: w.Topology, SpecDigest: digest, StateDir: stateDir,
		Names: &lockfile.Names{KAS: lockfile.Host{Name: w.Host, PathPrefix: w.Prefix, Listeners: []string{entrance}}},
	}
	names := []string{w.Host}
	if w.GRPCHost != "" {
		lock.Names.GRPC = &lockfile.Host{Name: w.GRPCHost, Listeners: []string{entrance}}
		names = append(names, w.GRPCHost)
	}
	if w.Edge {
		front, err := beforeEdge(r)
		if err != nil {
			return nil, err
		}
		files = append(files, bundle.File{Path: "edge/edge.yaml", Data: []byte(r.EdgeText)})
		lock.Names.KAS.Front, lock.Names.KAS.Listeners = front, []string{r.EdgeFile.Listeners[0].Address}
	}
	if text := model(w, r); text != "" {
		files = append(files, bundle.File{Path: "nginx/nginx.conf", Data: []byte(text)})
	}
	carries := promised
	if !w.Edge {
		// Without the edge, upgrades are up to whoever takes HTTP; kas says what to
		// do where they do not pass.
		carries.Kubectl.SPDY = lockfile.Refused
		if nginx(w, r) {
			carries.Kubectl.SPDY = lockfile.Yes
		}
	}
	if !w.GRPC {
		carries.Agents.GRPCS = lockfile.No
	}
	lock.Carries = &carries
	lock.Development = []lockfile.Development{
		{Path: stateDir + "/tls/ca.crt", Kind: lockfile.CA, Names: []string{}},
		{Path: certificate, Kind: lockfile.Certificate, Names: names},
	}
	return bundle.New(lock, files)
}

// beforeEdge is the TCP balancer before the edge, which is somebody else's.
func beforeEdge(r proof.Result) (*lockfile.Front, error) {
	if r.EdgeFile == nil {
		return nil, fmt.Errorf("the objects have no edge: look at them with --extras")
	}
	l := r.EdgeFile.Listeners[0]
	f := &lockfile.Front{Kind: "external-tcp", TLS: "passthrough", ProxyProtocol: string(l.ProxyProtocol)}
	if l.TLS == nil {
		f.TLS, f.ALPN = "terminate", []string{"http/1.1"}
		if l.Routes.GRPC != "" {
			f.ALPN = append(f.ALPN, "h2")
		}
	}
	return f, nil
}

// nginx says whether ingress-nginx takes kas's name, which passes every upgrade.
func nginx(w proof.Want, r proof.Result) bool {
	return slices.ContainsFunc(r.Ways, func(way proof.Way) bool { return way.Host == w.Host && way.Body != "" })
}

// model is an nginx.conf that does what the ways by HTTP do; empty: there are
// none.
func model(w proof.Want, r proof.Result) string {
	var b strings.Builder
	var hosts []string
	for _, way := range r.Ways {
		if !way.Raw && way.To == proof.KAS && !slices.Contains(hosts, way.Host) {
			hosts = append(hosts, way.Host)
		}
	}
	if len(hosts) == 0 {
		return ""
	}
	fmt.Fprintf(&b, `# A MODEL, written by kasgen: what takes HTTP in the cluster is not this nginx. It
# has the routes and limits of the objects that each server names.

worker_processes auto;
pid %s/nginx-http.pid;
error_log stderr notice;
events {
    worker_connections 4096;
}
http {
    access_log off;
    server_tokens off;
    map $http_upgrade $connection_upgrade {
        default upgrade;
        "" close;
    }
    # Whoever is no ingress-nginx is taken to upgrade to WebSocket alone.
    map $http_upgrade $only_websocket {
        default "";
        ~*^websocket$ $http_upgrade;
    }
    map $only_websocket $only_connection_upgrade {
        default upgrade;
        "" close;
    }
    upstream agent {
        server 127.0.0.1:8150;
    }
    upstream kubernetes-api {
        server 127.0.0.1:8154;
    }
`, stateDir)
	for _, host := range hosts {
		server(&b, host, r.Ways)
	}
	b.WriteString("    server {\n        listen 0.0.0.0:443 default_server ssl http2;\n        ssl_protocols TLSv1.2 TLSv1.3;\n        ssl_reject_handshake on;\n    }\n}\n")
	return b.String()
}

func server(b *strings.Builder, host string, ways []proof.Way) {
	var via []string
	for _, w := range ways {
		if w.Host == host && !w.Raw && !slices.Contains(via, w.Via.Title()) {
			via = append(via, w.Via.Title())
		}
	}
	fmt.Fprintf(b, `    # %s
    server {
        listen 0.0.0.0:443 ssl http2;
        server_name %s;
        ssl_certificate %s;
        ssl_certificate_key %s;
        ssl_protocols TLSv1.2 TLSv1.3;
        http2_max_concurrent_streams 1000;
        client_body_timeout 24h;
        send_timeout 24h;
        proxy_http_version 1.1;
        proxy_buffering off;
        proxy_request_buffering off;
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-Proto $scheme;
`, strings.Join(via, ", "), host, certificate, key)
	for _, w := range ways {
		if w.Host == host && !w.Raw && w.To == proof.KAS {
			location(b, w)
		}
	}
	b.WriteString("    }\n")
}

// location is what becomes of one way.
func location(b *strings.Builder, w proof.Way) {
	upstream := "agent"
	if w.Port == 8154 {
		upstream = "kubernetes-api"
	}
	path := strings.TrimSuffix(w.Path, "*")
	at := path
	if w.Regexp {
		at = fmt.Sprintf("~* %q", "^"+w.Path)
		at = strings.ReplaceAll(at, `\\`, `\`)
	}
	silence, body := 24*time.Hour, "0"
	if w.Silence != 0 {
		silence = w.Silence
	}
	if w.Body != "" {
		body = w.Body
	}
	limits := func(kind string) {
		fmt.Fprintf(b, "            client_max_body_size %s;\n            %s_read_timeout %ds;\n            %s_send_timeout %ds;\n", body, kind, int(silence.Seconds()), kind, int(silence.Seconds()))
	}
	grpc := func(at string) {
		fmt.Fprintf(b, "        location %s {\n", at)
		limits("grpc")
		fmt.Fprintf(b, "            grpc_pass grpc://%s;\n        }\n", upstream)
	}
	if w.HTTP2 {
		if w.Upgrades && path == "/" {
			at = "/gitlab.agent." // by the client's protocol: gRPC comes by these paths
		}
		grpc(at)
		if !w.Upgrades {
			return
		}
		at = path
	}
	fmt.Fprintf(b, "        location %s {\n", at)
	limits("proxy")
	upgrade, connection := "$only_websocket", "$only_connection_upgrade"
	if w.Body != "" {
		upgrade, connection = "$http_upgrade", "$connection_upgrade"
	}
	// Headers of a location take the place of the server's.
	fmt.Fprintf(b, "            proxy_set_header Host $http_host;\n            proxy_set_header X-Forwarded-Proto $scheme;\n            proxy_set_header Upgrade %s;\n            proxy_set_header Connection %s;\n            proxy_pass http://%s;\n        }\n", upgrade, connection, upstream)
}
