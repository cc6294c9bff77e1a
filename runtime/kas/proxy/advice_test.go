package proxy

import (
	"net/http"
	"strings"
	"testing"
)

// TestAdvice: exec and its kin without an upgrade are told what to change, known
// or not; everything else is left alone.
func TestAdvice(t *testing.T) {
	t.Parallel()
	const pod = "/k8s-proxy/api/v1/namespaces/n/pods/p/"
	const balancer, tcp, kubectl, cluster = "taken the headers Upgrade and Connection away", "TCP load balancer", "kubectl 1.31 or later", "Kubernetes 1.30 or later"
	token := http.Header{"Authorization": {"Bearer ci:7:good"}}
	for name, tt := range map[string]struct {
		method, target string
		header         http.Header
		code           int
		want           []string
	}{
		"SPDY exec":            {"POST", pod + "exec?command=ls", with(token, "X-Stream-Protocol-Version", "v4.channel.k8s.io"), 400, []string{"exec came as SPDY", balancer, tcp, kubectl, cluster}},
		"SPDY attach":          {"POST", pod + "attach", with(token, "X-Stream-Protocol-Version", "v4.channel.k8s.io"), 400, []string{"attach came as SPDY", balancer, kubectl}},
		"SPDY port-forward":    {"POST", pod + "portforward", with(token, "X-Stream-Protocol-Version", "portforward.k8s.io"), 400, []string{"port-forward came as SPDY", balancer, "1.31"}},
		"WebSocket exec":       {"GET", pod + "exec?command=ls", with(token, "Sec-Websocket-Key", "x", "Sec-Websocket-Version", "13"), 400, []string{"exec came as a WebSocket", balancer, tcp}},
		"ordinary GET":         {"GET", pod + "exec", token, 400, []string{"exec needs an upgraded connection", balancer, kubectl, cluster}},
		"a stranger":           {"POST", pod + "exec", nil, 400, []string{balancer}},
		"half of the headers":  {"POST", pod + "exec", with(token, "Upgrade", "SPDY/3.1"), 400, []string{"without Connection: upgrade", kubectl}},
		"the other half":       {"GET", pod + "exec", with(token, "Connection", "Upgrade", "Sec-Websocket-Key", "x"), 400, []string{"without an Upgrade header", tcp}},
		"an upgrade":           {"POST", pod + "exec", with(token, "Connection", "Upgrade", "Upgrade", "SPDY/3.1"), 502, nil},
		"a WebSocket":          {"GET", pod + "exec", with(token, "Connection", "Upgrade", "Upgrade", "websocket"), 502, nil},
		"logs":                 {"GET", pod + "log?follow=true", token, 502, nil},
		"a pod":                {"GET", "/k8s-proxy/api/v1/namespaces/n/pods/exec", token, 502, nil},
		"a pod's own server":   {"GET", pod + "proxy/exec", token, 502, nil},
		"another server's":     {"POST", "/k8s-proxy/api/v1/namespaces/n/services/s/proxy/pods/p/exec", token, 502, nil},
		"another resource":     {"POST", "/k8s-proxy/apis/x/v1/namespaces/n/pods/p/exec", token, 502, nil},
		"another subresource":  {"POST", pod + "eviction", token, 502, nil},
		"another method of it": {"OPTIONS", pod + "exec", token, 200, nil},
		"raw":                  {"GET", "/k8s-proxy/version", token, 502, nil},
		"a stranger elsewhere": {"GET", "/k8s-proxy/version", nil, 401, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, _ := newProxy(t, nil)
			a := ask(t, p, tt.method, tt.target, tt.header)
			if a.code != tt.code {
				t.Errorf("%d %s, want %d", a.code, a.message, tt.code)
			}
			for _, want := range tt.want {
				if !strings.Contains(a.message, want) {
					t.Errorf("%q is not in %q", want, a.message)
				}
			}
		})
	}
}
