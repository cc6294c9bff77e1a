package omnibus_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kasgen/internal/nginxconf"
	"kasgen/omnibus/importer"
	"kasgen/omnibus/omnibustest"
)

// statements are what a machine's nginx says about requests to a name, each as
// nginx has it in effect: `kubernetes proxy_read_timeout` is `2h`. What a location
// does not say it has from its server.
type statements map[string]string

// requests are one of each kind that kas's name takes.
var requests = map[string]string{"agents": "/", "gRPC": "/gitlab.agent.agent_configuration.rpc.AgentConfiguration/GetConfiguration", "kubernetes": "/k8s-proxy/api/v1/pods"}

// stated reads the vhosts of a machine for kas's name, and for that of agents by
// gRPC: those that end TLS, and whether port 80 has one.
func stated(t *testing.T, root, name, grpc string) statements {
	t.Helper()
	got, upstreams := statements{}, map[string]string{}
	var servers []*nginxconf.Directive
	for _, pattern := range []string{"var/opt/gitlab/nginx/conf/service_conf/gitlab-kas.conf", "var/opt/gitlab/nginx/conf/gitlab-kas.conf", "etc/gitlab/kasgen/vhosts/*.conf"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			f, err := nginxconf.Parse(file, []byte(omnibustest.Read(t, file)))
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range f.Directives {
				switch d.Name.Value {
				case "upstream":
					for _, s := range d.Block.Directives {
						if s.Name.Value == "server" {
							upstreams[d.Args[0].Value] = s.Args[0].Value
						}
					}
				case "server":
					servers = append(servers, d)
				}
			}
		}
	}
	for _, s := range servers {
		own := said(s.Block.Directives)
		names := strings.Fields(own["server_name"])
		delete(own, "server_name")
		switch {
		case own["ssl_certificate"] != "":
			for kind, path := range requests {
				if kind == "gRPC" && !slices.Contains(names, grpc) || kind != "gRPC" && !slices.Contains(names, name) {
					continue
				}
				l := location(s, path)
				if l == nil {
					t.Fatalf("no location takes %s", path)
				}
				for k, v := range inherited(said(l.Block.Directives), own) {
					for from, to := range upstreams {
						v = strings.Replace(v, "://"+from, "://"+to, 1)
					}
					got[kind+" "+k] = strings.NewReplacer("$kasgen_", "$", "://localhost:", "://127.0.0.1:").Replace(v)
				}
			}
		case slices.Contains(names, name):
			got["port 80"] = "a vhost for " + name
		}
	}
	return got
}

// inherited is what a location has in effect: headers come all from one level, and
// of HTTP/1.1 and gRPC one module passes on.
func inherited(here, server map[string]string) map[string]string {
	all := maps.Clone(here)
	for k, v := range server {
		directive, _, _ := strings.Cut(k, " ")
		there := false
		for k := range here {
			there = there || k == directive || strings.HasPrefix(k, directive+" ")
		}
		if !there {
			all[k] = v
		}
	}
	idle := "grpc_"
	if here["grpc_pass"] != "" {
		idle = "proxy_"
	}
	maps.DeleteFunc(all, func(k, _ string) bool { return strings.HasPrefix(k, idle) && k != "proxy_cache" })
	return all
}

// said are the directives of a block. Those that may stand there several times
// are one, and headers one each.
func said(ds []*nginxconf.Directive) map[string]string {
	got := map[string]string{}
	for _, d := range ds {
		key, args := d.Name.Value, d.Values()
		switch {
		case key == "location":
			continue
		case key == "listen":
			if slices.Contains(args, "http2") {
				got["http2"] = "on"
			}
			args = slices.DeleteFunc(args, func(a string) bool { return a == "http2" })
			args[0] = strings.Replace(args[0], "*:", "0.0.0.0:", 1)
			slices.Sort(args[1:])
		case strings.HasSuffix(key, "_header") && len(args) > 1:
			key, args = key+" "+args[0], args[1:]
		}
		value := strings.Join(args, " ")
		if old, several := got[key]; several && key != "http2" {
			value = old + ", " + value
		}
		got[key] = value
	}
	return got
}

// location is the one of a server that takes a path: the longest prefix.
func location(server *nginxconf.Directive, path string) *nginxconf.Directive {
	var found *nginxconf.Directive
	for _, d := range server.Block.Directives {
		if d.Name.Value == "location" && len(d.Args) == 1 && strings.HasPrefix(path, d.Args[0].Value) && (found == nil || len(d.Args[0].Value) > len(found.Args[0].Value)) {
			found = d
		}
	}
	return found
}

// repaired are the defects of Omnibus's vhost that docs/omnibus.md names, and
// what a vhost says that they are gone from; * is anything.
var repaired = map[string]string{
	"client_max_body_size": "0", "client_body_timeout": "2h", "send_timeout": "2h", "client_header_timeout": "10s", "keepalive_timeout": "1m",
	"http2_max_concurrent_streams": "*", "proxy_connect_timeout": "5s", "proxy_read_timeout": "2h", "proxy_send_timeout": "2h",
	"grpc_connect_timeout": "5s", "grpc_read_timeout": "2h", "grpc_send_timeout": "2h", "grpc_socket_keepalive": "on", "proxy_socket_keepalive": "on",
	"proxy_cache": "off", "gzip": "off", "proxy_request_buffering": "off", "proxy_max_temp_file_size": "", "disable_symlinks": "", "error_page": "",
	"access_log": "*", "error_log": "*", "ssl_session_cache": "shared:kasgen_tls:10m",
	"proxy_redirect": "", "proxy_intercept_errors": "", // nothing of kas's is changed without them either
}

// unexplained are the differences that are neither repaired nor lost.
func unexplained(before, after statements, lost []importer.Lost) []string {
	var all []string
	for _, key := range slices.Sorted(maps.Keys(union(before, after))) {
		was, is := before[key], after[key]
		kind, directive, _ := strings.Cut(key, " ")
		if strings.HasSuffix(directive, "_timeout") && is == "7200s" {
			is = "2h"
		}
		want, known := repaired[directive]
		switch {
		case was == is, known && (want == "*" || want == is):
		case kind == "gRPC" && before["gRPC grpc_pass"] == "" && after["gRPC grpc_pass"] != "": // it passed none
		case kind == "agents" && strings.HasPrefix(after["agents return"], "410 "): // no WebSocket: kas serves none by itself either
		case directive == "if" && is == withoutWebSocket, directive == "default_type" && after[kind+" if"] == withoutWebSocket: // the same in Omnibus's vhost
		case directive == "proxy_pass" && kind == "agents" && was == is+"/": // a path as it came
		case slices.ContainsFunc(lost, func(l importer.Lost) bool { return slices.Contains(of(l), directive) }):
		default:
			all = append(all, fmt.Sprintf("%s: %q is %q", key, was, is))
		}
	}
	return all
}

// withoutWebSocket takes out what nobody but an agent over WebSocket asks for.
const withoutWebSocket = `($request_uri !~ ^/(gitlab\.agent\.|k8s-proxy([/?]|$)|\.well-known/acme-challenge/) )`

// of are the directives that a lost key of kas's vhost is about.
func of(l importer.Lost) []string {
	parts := strings.Split(strings.TrimSuffix(l.Key, "']"), "['")
	switch name := parts[len(parts)-1]; {
	case l.Key == "gitlab_kas_external_url" && strings.Contains(l.Why, "SPDY"): // D's answers
		return []string{"if", "default_type"}
	case strings.Contains(l.Key, "['proxy_set_headers']"):
		return []string{"proxy_set_header " + name}
	case strings.HasPrefix(name, "hsts_"):
		return []string{"add_header Strict-Transport-Security"}
	case name == "custom_gitlab_server_config":
		return []string{"deny"}
	case name == "http2_enabled":
		return []string{"http2"}
	case name == "proxy_custom_buffer_size":
		return []string{"proxy_buffers", "proxy_buffer_size"}
	case name == "real_ip_trusted_addresses":
		return []string{"set_real_ip_from"}
	default:
		return []string{name}
	}
}

func union(a, b statements) statements {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}
