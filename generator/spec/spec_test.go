package spec_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kasgen/generator/spec"
)

const base = `apiVersion: kasgen/v1
gitlab:
  url: https://gitlab.example.com
names:
  kas: kas.gitlab.example.com
`

// faults are specs and their findings as "line:column code". Where a case does
// not begin with apiVersion, base stands before it, so that its first line is
// line 6.
func faults() map[string]struct {
	in   string
	want []string
} {
	type c = struct {
		in   string
		want []string
	}
	return map[string]c{
		"not YAML":            {"tls: [\n", []string{"6:1 KAS1001"}},
		"NUL":                 {"tls: \x00\n", []string{"6:6 KAS1002"}},
		"too long":            {"# " + strings.Repeat("x", 1<<20) + "\n", []string{"1:1 KAS1003"}},
		"two documents":       {"---\n" + base, []string{"6:1 KAS1004"}},
		"beside its namesake": {"edge: {listen: nowhere}\negde: {}\n", []string{"6:16 KAS1405", "7:1 KAS1005"}},
		"unknown key":         {"edge:\n  lissten: 127.0.0.1:1\n", []string{"7:3 KAS1005"}},
		"repeated key":        {"names: {}\n", []string{"6:1 KAS1006"}},
		"wrong type":          {"loadBalancer:\n  listen: 443\n", []string{"7:11 KAS1007"}},
		"version number":      {"kas:\n  version: 18.10\n", []string{"7:12 KAS1007"}},
		"duration":            {"timeouts:\n  idle: 2 hours\n", []string{"7:9 KAS1008"}},
		"date":                {"agents:\n  removeAfter: 31.1.2027\n", []string{"7:16 KAS1008"}},
		"alias in itself":     {"migration: &m\n  keep: *m\n", []string{"7:9 KAS1009"}},
		"another version":     {"apiVersion: kasgen/v2\ngitlab: {url: 'https://g.example.com'}\nnames: {kas: k.g.example.com}\n", []string{"1:13 KAS1401"}},
		"nothing":             {"apiVersion:", []string{"1:1 KAS1401", "1:1 KAS1402", "1:1 KAS1402"}},
		"no kas name":         {"apiVersion: kasgen/v1\ngitlab: {url: 'https://g.example.com'}\nnames: {kas: ''}\n", []string{"3:14 KAS1402"}},
		"no listen":           {"loadBalancer:\n  listen: []\n", []string{"7:11 KAS1402"}},
		"empty redis":         {"kas:\n  redis: {}\n", []string{"7:10 KAS1402", "7:10 KAS1709"}},
		"half a pair":         {"kas:\n  redis:\n    address: r:1\n    tls: {keyFile: /k}\n", []string{"7:3 KAS1709", "9:10 KAS1402"}},
		"sentinel":            {"kas:\n  redis:\n    sentinel:\n      addresses: []\n", []string{"7:3 KAS1709", "8:5 KAS1402", "9:18 KAS1402"}},
		"URL":                 {"apiVersion: kasgen/v1\ngitlab: {url: gitlab.example.com}\nnames: {kas: k.g.example.com}\n", []string{"2:15 KAS1403"}},
		"URL with user":       {"apiVersion: kasgen/v1\ngitlab: {url: 'https://a:b@g.example.com'}\nnames: {kas: k.g.example.com}\n", []string{"2:15 KAS1403"}},
		"external URL":        {"apiVersion: kasgen/v1\ngitlab: {url: 'https://g.example.com', externalURL: g}\nnames: {kas: k.g.example.com}\n", []string{"2:53 KAS1403"}},
		"name with scheme":    {"apiVersion: kasgen/v1\ngitlab: {url: 'https://g.example.com'}\nnames: {kas: 'https://k.example.com'}\n", []string{"3:14 KAS1404"}},
		"name in capitals":    {"apiVersion: kasgen/v1\ngitlab: {url: 'https://g.example.com'}\nnames: {kas: KAS.example.com}\n", []string{"3:14 KAS1404"}},
		"name is address":     {"apiVersion: kasgen/v1\ngitlab: {url: 'https://g.example.com'}\nnames: {kas: 192.0.2.1}\n", []string{"3:14 KAS1404"}},
		"no port":             {"edge:\n  listen: 127.0.0.1\n", []string{"7:11 KAS1405"}},
		"bad port":            {"loadBalancer:\n  listen: ['0.0.0.0:443', '0.0.0.0:65536']\n", []string{"7:27 KAS1405"}},
		"port 0":              {"kas:\n  listen:\n    agent: 127.0.0.1:0\n", []string{"8:12 KAS1405"}},
		"IPv6 bare":           {"edge:\n  listen: ::1:9443\n", []string{"7:11 KAS1405"}},
		"listen on a name":    {"loadBalancer:\n  listen:\n  - kas.example.com:443\n", []string{"8:5 KAS1405"}},
		"dial everything":     {"loadBalancer:\n  nodes: ['0.0.0.0:9443']\nedge: {listen: '10.0.0.1:9443'}\n", []string{"7:11 KAS1405"}},
		"choice":              {"loadBalancer:\n  kind: hapoxy\n", []string{"7:9 KAS1406"}},
		"topology":            {"topology: E\n", []string{"6:11 KAS1406"}},
		"TLS version":         {"tls:\n  minVersion: \"1.1\"\n", []string{"7:15 KAS1406"}},
		"relative path":       {"stateDir: state\n", []string{"6:11 KAS1407"}},
		"path with quote":     {"tls:\n  keyFile: /a\"b\n", []string{"7:12 KAS1407"}},
		"path with dots":      {"kas:\n  secrets:\n    api: /a/../b\n", []string{"8:10 KAS1407"}},
		"zero limit":          {"timeouts:\n  connect: 0s\n", []string{"7:12 KAS1408"}},
		"long limit":          {"timeouts:\n  idle: 600h\n", []string{"7:9 KAS1408"}},
		"fine limit":          {"timeouts:\n  drain: 1500us\n", []string{"7:10 KAS1408"}},
		"no rise":             {"loadBalancer:\n  healthCheck: {rise: 0}\n", []string{"7:23 KAS1408"}},
		"version":             {"kas:\n  version: latest\n", []string{"7:12 KAS1409"}},
		"old kas":             {"kas:\n  version: '15.11.0'\n", []string{"7:12 KAS1409"}},
		"old nginx":           {"nginx:\n  version: '1.14.2'\n", []string{"7:12 KAS1409"}},
		"prefix":              {"kas:\n  pathPrefix: /k8s-proxy/\n", []string{"7:15 KAS1410"}},
		"prefix is all":       {"kas:\n  pathPrefix: /\n", []string{"7:15 KAS1410"}},
		"prefix with space":   {"kas:\n  pathPrefix: '/k8s proxy'\n", []string{"7:15 KAS1410"}},
		"node twice":          {"loadBalancer:\n  nodes: ['127.0.0.1:9443', '127.0.0.1:9443']\nkas: {redis: {address: 'r:1'}}\n", []string{"7:29 KAS1411", "8:14 KAS1709"}},
		"redis two ways":      {"kas:\n  redis: {address: 'r:1', sentinel: {master: m, addresses: ['s:1']}}\n", []string{"7:10 KAS1709", "7:37 KAS1411"}},
		"overlap":             {"kas:\n  listen:\n    api: 127.0.0.1:8150\n", []string{"8:10 KAS1501"}},
		"overlap wildcard":    {"edge:\n  listen: :443\n", []string{"7:11 KAS1501"}},
		"overlap names":       {"kas:\n  listen:\n    api: localhost:8150\n", []string{"8:10 KAS1501"}},
		"overlap kept":        {"migration:\n  keep:\n  - {listen: '0.0.0.0:8150', backend: '127.0.0.1:8150'}\n", []string{"8:14 KAS1501"}},
		"overlap GitLab":      {"loadBalancer:\n  shareWithGitLab: {enabled: true, address: '127.0.0.1:9443'}\n", []string{"7:45 KAS1501"}},
		"HTTP balancer":       {"loadBalancer:\n  kind: external-http\n", []string{"7:9 KAS1502"}},
		"HTTP/2 balancer":     {"loadBalancer:\n  kind: external-http2\n", []string{"7:9 KAS1502"}},
		"PROXY v2":            {"loadBalancer:\n  kind: nginx-stream\n  proxyProtocol: v2\n", []string{"8:18 KAS1503"}},
		"no registry":         {"loadBalancer:\n  nodes: ['127.0.0.1:9443', '127.0.0.1:9444']\n", []string{"7:10 KAS1504"}},
		"GitLab's kas":        {"kas:\n  kind: gitlab\n", []string{"7:9 KAS1505"}},
		"ACME":                {"tls:\n  source: acme\n", nil},
		"ACME, foreign TLS":   {"tls:\n  source: acme\nloadBalancer: {kind: external-tcp, tls: terminate}\n", []string{"7:11 KAS1506", "8:41 KAS1517"}},
		"ACME, reencrypted":   {"topology: D\ntls: {source: acme}\nloadBalancer: {kind: external-http, realIPFrom: [10.0.0.0/8]}\n", []string{"7:15 KAS1506", "8:22 KAS1707"}},
		"ACME, nginx ends":    {"topology: D\ntls: {source: acme, acme: {challenge: tls-alpn-01}}\n", []string{"7:39 KAS1529"}},
		"ACME, HAProxy ends":  {"tls: {source: acme, acme: {challenge: tls-alpn-01}}\nloadBalancer: {tls: terminate}\n", []string{"6:39 KAS1529"}},
		"ACME, own address":   {"topology: B\ntls: {source: acme, acme: {challenge: tls-alpn-01}}\nloadBalancer: {listen: ['192.0.2.1:443']}\ngrpcBalancer: {address: own, listen: ['192.0.2.2:443']}\n", []string{"7:39 KAS1529"}},
		"ACME, port closed":   {"tls: {source: acme, acme: {challenge: http-01}}\nhttp: {listen: []}\n", []string{"6:39 KAS1529"}},
		"ACME, no way":        {"topology: D\ntls: {source: acme}\nhttp: {listen: []}\n", []string{"8:16 KAS1529"}},
		"ACME, B is shared":   {"topology: B\ntls: {source: acme, acme: {challenge: tls-alpn-01}}\nhttp: {listen: []}\n", nil},
		"ACME, gRPC only":     {"topology: B\ntls: {source: acme}\nloadBalancer: {kind: external-tcp, tls: terminate, alpn: none}\nhttp: {listen: ['0.0.0.0:80']}\n", nil},
		"ACME, two CAs":       {"tls: {source: acme, acme: {staging: true, directory: 'https://ca.example.com/d'}}\n", []string{"6:37 KAS1530"}},
		"ACME, webroot":       {"topology: D\ntls: {source: acme, acme: {webroot: /srv/www}}\nhttp: {listen: []}\n", nil},
		"ACME, idle webroot":  {"tls: {source: acme, acme: {webroot: /srv/www, challenge: tls-alpn-01}}\n", []string{"6:37 KAS1530"}},
		"ACME, nodes":         {"tls: {source: acme}\nloadBalancer: {nodes: ['127.0.0.1:9443', '127.0.0.1:9444']}\nkas: {redis: {address: 'r:1'}}\n", []string{"6:15 KAS1708", "8:14 KAS1709"}},
		"ACME, own port":      {"tls: {source: acme}\nloadBalancer: {listen: ['0.0.0.0:8443', '10.0.0.1:9443']}\n", []string{"7:24 KAS1710"}},
		"ACME, one of two":    {"tls: {source: acme}\nloadBalancer: {listen: ['127.0.0.1:8443', '10.0.0.1:443']}\n", nil},
		"ACME, loopback":      {"tls: {source: acme}\nloadBalancer: {listen: ['127.0.0.1:443']}\n", []string{"7:24 KAS1710"}},
		"ACME, port 80":       {"tls: {source: acme, acme: {challenge: http-01}}\nhttp: {listen: ['0.0.0.0:8080']}\n", []string{"7:16 KAS1710"}},
		"ACME, somewhere":     {"tls: {source: acme, acme: {challenge: http-01, webroot: /w}}\nhttp: {listen: []}\n", nil},
		"ACME, one node":      {"tls: {source: acme, acme: {challenge: http-01}}\nloadBalancer: {nodes: ['10.0.0.1:9443']}\nedge: {listen: ':9443'}\n", []string{"6:15 KAS1708"}},
		"ACME is not asked":   {"tls: {acme: {email: a@example.com}}\n", []string{"6:13 KAS1530"}},
		"ACME in a Secret":    {"tls: {source: acme, acme: {cache: {secret: {name: kas, namespace: gitlab}}}}\n", nil},
		"ACME, two places":    {"tls: {source: acme, acme: {cache: {directory: /d, secret: {name: kas}}}}\n", []string{"6:59 KAS1530"}},
		"ACME, no Secret":     {"tls: {source: acme, acme: {cache: {secret: {namespace: gitlab}}}}\n", []string{"6:44 KAS1402"}},
		"ACME by http":        {"tls: {source: acme, acme: {directory: 'http://ca.example.com/d'}}\n", []string{"6:39 KAS1403"}},
		"ACME, bad address":   {"tls: {source: acme, acme: {email: 'ops at example.com'}}\n", []string{"6:35 KAS1413"}},
		"ACME, no MAC key":    {"tls: {source: acme, acme: {externalAccount: {keyID: k}}}\n", []string{"6:45 KAS1402"}},
		"ACME, key type":      {"tls: {source: acme, acme: {keyType: ed25519}}\n", []string{"6:37 KAS1406"}},
		"ACME, inner name":    {"apiVersion: kasgen/v1\ngitlab: {url: 'https://g.internal'}\nnames: {kas: k.g.internal}\ntls: {source: acme}\n", []string{"3:14 KAS1532"}},
		"ACME, inner CA":      {"apiVersion: kasgen/v1\ngitlab: {url: 'https://g.internal'}\nnames: {kas: k.g.internal}\ntls: {source: acme, acme: {directory: 'https://ca.internal/d'}}\n", nil},
		"ACME, overlap":       {"tls: {source: acme, acme: {observability: '127.0.0.1:8151'}}\n", []string{"6:43 KAS1501"}},
		"nobody else's":       {"tls: {source: balancer}\n", []string{"6:15 KAS1531"}},
		"somebody's, again":   {"topology: D\ntls: {source: balancer}\nloadBalancer: {kind: external-http, realIPFrom: [10.0.0.0/8]}\n", []string{"7:15 KAS1531", "8:22 KAS1707"}},
		"somebody else's":     {"topology: packaged\ntls: {source: balancer}\nloadBalancer: {kind: external-http, tls: terminate, realIPFrom: [10.0.0.0/8]}\n", []string{"8:22 KAS1707"}},
		"tickets":             {"tls: {sessionTickets: {keyFile: /k}, clientCA: {file: /ca.pem}}\n", nil},
		"tickets, no file":    {"tls: {sessionTickets: {}}\n", []string{"6:23 KAS1402"}},
		"tickets, too quick":  {"tls: {sessionTickets: {keyFile: /k, rotate: 1m}}\n", []string{"6:45 KAS1534"}},
		"tickets, never":      {"tls: {sessionTickets: {keyFile: /k, rotate: 500h}}\n", []string{"6:45 KAS1534"}},
		"tickets of nginx":    {"topology: D\ntls: {sessionTickets: {keyFile: /k}}\n", []string{"7:23 KAS1533"}},
		"clients of HAProxy":  {"tls: {clientCA: {file: /ca.pem}}\nloadBalancer: {tls: terminate}\n", []string{"6:17 KAS1533"}},
		"clients of B":        {"topology: B\ntls: {clientCA: {file: /ca.pem}}\n", nil},
		"clients of nginx":    {"topology: B\ntls: {clientCA: {file: /ca.pem}}\ngrpcBalancer: {kind: nginx}\n", []string{"7:17 KAS1533"}},
		"clients, others' B":  {"topology: B\ntls: {clientCA: {file: /ca.pem}}\ngrpcBalancer: {kind: external-http2}\n", []string{"8:22 KAS1707"}},
		"tickets of B":        {"topology: B\ntls: {sessionTickets: {keyFile: /k}}\n", []string{"7:23 KAS1711"}},
		"tickets, B by nginx": {"topology: B\ntls: {sessionTickets: {keyFile: /k}}\ngrpcBalancer: {kind: nginx}\n", []string{"7:23 KAS1711"}},
		"tickets, B external": {"topology: B\ntls: {sessionTickets: {keyFile: /k}}\ngrpcBalancer: {kind: external-http2}\n", []string{"8:22 KAS1707"}},
		"share, terminate":    {"loadBalancer:\n  tls: terminate\n  shareWithGitLab: {enabled: true}\n", []string{"8:30 KAS1507"}},
		"share, headers":      {"loadBalancer:\n  kind: nginx-stream\n  shareWithGitLab:\n    enabled: true\n    proxyProtocol: none\n", []string{"10:20 KAS1508"}},
		"same name":           {"apiVersion: kasgen/v1\ngitlab: {url: 'https://Gitlab.example.com:8443'}\nnames: {kas: gitlab.example.com}\n", []string{"3:14 KAS1509"}},
		"loopback":            {"loadBalancer:\n  nodes: ['10.0.0.1:9443', '10.0.0.2:9443']\nkas:\n  redis: {address: 'r:1'}\n", []string{"7:10 KAS1510", "7:10 KAS1510", "9:10 KAS1709"}},
		"removed already":     {"agents:\n  websocket: remove\n  removeAfter: 2027-01-31\n", []string{"8:16 KAS1511"}},
		"external, share":     {"loadBalancer:\n  kind: external-tcp\n  nodes: ['127.0.0.1:9443']\n  shareWithGitLab: {enabled: true}\nmigration: {keep: [{listen: ':1', backend: 'b:2'}]}\n", []string{"8:10 KAS1512", "9:30 KAS1512", "10:19 KAS1512"}},
		"nginx without ALPN": {
			"nginx: {version: '1.18.0'}\nloadBalancer: {kind: nginx-stream, tls: terminate}\n", []string{"6:18 KAS1513"},
		},
		"short idle":              {"timeouts:\n  idle: 60s\n", []string{"7:9 KAS1514"}},
		"development certificate": {"tls:\n  source: developmentCA\n  keyFile: /etc/key.pem\n", []string{"8:12 KAS1515"}},
		"cleartext": {
			"loadBalancer: {tls: terminate, nodes: ['10.0.0.1:9443']}\nedge: {listen: ':9443'}\n", []string{"6:21 KAS1516"},
		},
		"external TLS":         {"loadBalancer: {kind: external-tcp, tls: terminate}\n", []string{"6:41 KAS1517"}},
		"name beside GitLab's": {"apiVersion: kasgen/v1\ngitlab: {url: 'http://127.0.0.1:80', externalURL: 'https://G.example.com'}\nnames: {kas: k.example.com}\n", []string{"3:14 KAS1701"}},
		"name is near":         {"apiVersion: kasgen/v1\ngitlab: {url: 'https://g.example.com'}\nnames: {kas: kg.example.com}\n", []string{"3:14 KAS1701"}},
		"GitLab by http":       {"apiVersion: kasgen/v1\ngitlab: {url: 'http://localhost', externalURL: 'http://g.example.com'}\nnames: {kas: k.g.example.com}\n", []string{"2:48 KAS1702"}},
		"calls by http":        {"apiVersion: kasgen/v1\ngitlab: {url: 'http://Inner:8080', externalURL: 'https://g.example.com'}\nnames: {kas: k.g.example.com}\n", []string{"2:15 KAS1703"}},
		"both by http":         {"apiVersion: kasgen/v1\ngitlab: {url: 'http://g.example.com'}\nnames: {kas: k.g.example.com}\n", []string{"2:15 KAS1702", "2:15 KAS1703"}},
		"removal is over":      {"agents: {removeAfter: 2026-01-30}\n", []string{"6:23 KAS1704"}},
		"removal is today":     {"agents: {removeAfter: 2026-01-31}\n", nil},
		"CA for GitLab's kas":  {"tls: {source: developmentCA}\nkas: {kind: gitlab, redis: {address: 'r:1'}}\n", []string{"6:15 KAS1705"}},
		"CA for nodes":         {"tls: {source: developmentCA}\nkas: {redis: {address: 'r:1'}}\nloadBalancer: {nodes: ['127.0.0.1:9443', '127.0.0.1:9444']}\n", []string{"6:15 KAS1705", "7:14 KAS1709"}},
		"embedded Redis":       {"kas: {redis: {address: 'r:1'}}\n", []string{"6:14 KAS1709"}},
		"idle for agents only": {"timeouts: {idle: 5m}\n", []string{"6:18 KAS1706"}},
		"a balancer's limits":  {"topology: B\ngrpcBalancer: {kind: external-http2}\nsuppress: [{code: KAS1707, reason: 2 h there}]\n", []string{"7:22 KAS1707 suppressed"}},
		"suppress, unknown":    {"suppress:\n- {code: KAS1799, reason: r}\n- {code: kas1701, reason: r}\n", []string{"7:10 KAS1801", "8:10 KAS1801"}},
		"suppress an error":    {"suppress: [{code: KAS1501, reason: r}, {code: KAS1804, reason: r}, {code: KAS3101, reason: r}]\n", []string{"6:19 KAS1802", "6:47 KAS1802", "6:75 KAS1802"}},
		"suppress, no code":    {"suppress: [{reason: r}]\n", []string{"6:12 KAS1402"}},
		"suppress, no reason":  {"timeouts: {idle: 5m}\nsuppress: [{code: KAS1706, reason: ' '}, {code: KAS1706}]\n", []string{"6:18 KAS1706", "7:36 KAS1803", "7:42 KAS1803"}},
		"suppress nothing":     {"timeouts: {idle: 5m}\nsuppress:\n- {code: KAS1706, field: time, reason: r}\n- {code: KAS1516, reason: r}\n", []string{"6:18 KAS1706", "8:3 KAS1804", "9:3 KAS1804"}},
		"suppress, not known":  {"edge: {listen: x}\nsuppress: [{code: KAS1706, reason: r}]\n", []string{"6:16 KAS1405"}},
		"suppress, ended":      {"timeouts: {idle: 5m}\nsuppress: [{code: KAS1706, reason: r, until: 2026-01-30}]\n", []string{"6:18 KAS1706", "7:46 KAS1805"}},
		"suppress":             {"timeouts: {idle: 5m}\nsuppress: [{code: KAS1706, reason: r}]\n", []string{"6:18 KAS1706 suppressed"}},
		"suppress in a field":  {"timeouts: {idle: 5m}\nsuppress: [{code: KAS1706, field: timeouts, reason: r, until: 2026-01-31}]\n", []string{"6:18 KAS1706 suppressed"}},
		"suppress in the file": {"timeouts: {idle: 5m}\nsuppress: [{code: KAS1706, field: k.yaml, reason: r}]\n", []string{"6:18 KAS1706 suppressed"}},
		"network":              {"topology: D\nloadBalancer:\n  kind: external-http\n  realIPFrom: [10.1.2.3/8, everyone]\n", []string{"8:9 KAS1707", "9:16 KAS1412", "9:28 KAS1412"}},
		"gRPC name in A":       {"names2: {}\ngrpcBalancer: {kind: nginx}\n", []string{"6:1 KAS1005", "7:15 KAS1518"}},
		"one name for both":    {"apiVersion: kasgen/v1\ntopology: B\ngitlab: {url: 'https://example.com'}\nnames: {kas: k.example.com, grpc: k.example.com}\n", []string{"4:35 KAS1519"}},
		"gRPC has GitLab's":    {"apiVersion: kasgen/v1\ntopology: B\ngitlab: {url: 'https://example.com'}\nnames: {kas: k.example.com, grpc: example.com}\n", []string{"4:35 KAS1509"}},
		"nginx in A":           {"loadBalancer: {kind: nginx}\n", []string{"6:22 KAS1520"}},
		"TCP in D":             {"topology: D\nloadBalancer: {kind: haproxy}\n", []string{"7:22 KAS1520"}},
		"HTTP before B":        {"topology: B\nloadBalancer: {kind: external-http}\n", []string{"7:22 KAS1502"}},
		"HTTP/2 before B":      {"topology: B\nloadBalancer: {kind: external-http2}\n", []string{"7:22 KAS1502"}},
		"HTTP/2 before D":      {"topology: D\nloadBalancer: {kind: external-http2, realIPFrom: [10.0.0.0/8]}\n", []string{"7:22 KAS1502"}},
		"TLS through HTTP":     {"topology: D\nloadBalancer: {kind: external-http, tls: passthrough, realIPFrom: [10.0.0.0/8]}\n", []string{"7:22 KAS1707", "7:42 KAS1521"}},
		"TLS again by TCP":     {"loadBalancer: {tls: reencrypt}\n", []string{"6:21 KAS1521"}},
		"TLS again by theirs":  {"tls: {source: developmentCA}\nloadBalancer: {kind: external-tcp, tls: reencrypt, proxyProtocol: v2}\n", []string{"7:41 KAS1517"}},
		"TLS again, no ALPN":   {"loadBalancer: {kind: external-tcp, tls: reencrypt, alpn: none}\n", []string{"6:58 KAS1517"}},
		"TLS again, acme":      {"tls: {source: acme}\nloadBalancer: {kind: external-tcp, tls: reencrypt}\n", []string{"6:15 KAS1506", "7:41 KAS1517"}},
		"TLS again, theirs":    {"tls: {source: balancer}\nloadBalancer: {kind: external-tcp, tls: reencrypt}\n", []string{"6:15 KAS1531", "7:41 KAS1517"}},
		"TLS again, clients":   {"tls: {clientCA: {file: /ca.pem}}\nloadBalancer: {kind: external-tcp, tls: reencrypt}\n", []string{"7:41 KAS1517"}},
		"TLS through nginx":    {"topology: packaged\nloadBalancer: {tls: passthrough}\n", []string{"7:21 KAS1521"}},
		"no ALPN of ours":      {"loadBalancer: {alpn: none}\n", []string{"6:22 KAS1521"}},
		"no ALPN":              {"loadBalancer: {kind: external-tcp, tls: terminate, alpn: none}\n", []string{"6:58 KAS1517"}},
		"share D with HAProxy": {"topology: D\ngrpcBalancer: {kind: haproxy}\n", []string{"7:22 KAS1522"}},
		"share an external":    {"topology: B\ngrpcBalancer: {kind: external-http2, address: shared}\n", []string{"7:22 KAS1707", "7:47 KAS1522"}},
		"share cleartext D":    {"topology: D\nloadBalancer: {kind: external-http, tls: terminate, realIPFrom: [10.0.0.0/8]}\ngrpcBalancer: {address: shared}\n", []string{"7:22 KAS1707", "8:25 KAS1522"}},
		"own, nowhere":         {"topology: B\ngrpcBalancer: {address: own}\n", []string{"7:25 KAS1522"}},
		"shared, two":          {"topology: B\ngrpcBalancer: {listen: ['127.0.0.1:1', '127.0.0.1:2']}\n", []string{"7:24 KAS1522"}},
		"shared, listens":      {"topology: D\ngrpcBalancer: {address: shared, listen: ['127.0.0.1:1']}\n", []string{"7:41 KAS1522"}},
		"shared, header":       {"topology: B\ngrpcBalancer: {acceptProxyProtocol: v1}\n", []string{"7:37 KAS1522"}},
		"external, told":       {"topology: B\ngrpcBalancer: {kind: external-http2, listen: ['127.0.0.1:1']}\n", []string{"7:22 KAS1707", "7:46 KAS1512"}},
		"TLS ended before":     {"topology: B\nloadBalancer: {tls: terminate}\ngrpcBalancer: {tls: terminate}\n", []string{"8:21 KAS1523"}},
		"TLS not ended":        {"topology: D\ngrpcBalancer: {tls: cleartext}\n", []string{"7:21 KAS1523"}},
		"real IP in A":         {"loadBalancer: {realIPFrom: [10.0.0.0/8]}\n", []string{"6:28 KAS1524"}},
		"real IP twice":        {"topology: D\nloadBalancer: {kind: external-http, acceptProxyProtocol: v1, realIPFrom: [10.0.0.0/8]}\n", []string{"7:22 KAS1707", "7:58 KAS1524"}},
		"no real IP":           {"topology: packaged\nloadBalancer: {kind: external-http}\n", []string{"7:22 KAS1525", "7:22 KAS1707"}},
		"nobody behind HTTP":   {"topology: packaged\nloadBalancer: {kind: external-http, realIPFrom: [10.0.0.0/8]}\nagents: {websocket: remove}\n", []string{"7:22 KAS1707", "8:21 KAS1526"}},
		"nobody without ALPN":  {"loadBalancer: {kind: external-tcp, tls: terminate, alpn: none}\nagents: {websocket: remove}\n", []string{"6:58 KAS1517", "7:21 KAS1526"}},
		"no WebSocket":         {"topology: packaged\nloadBalancer: {kind: external-http2, realIPFrom: [10.0.0.0/8]}\n", []string{"7:22 KAS1527", "7:22 KAS1707"}},
		"edge in D":            {"topology: D\nedge: {listen: '127.0.0.1:9444'}\nloadBalancer: {proxyProtocol: v1}\n", []string{"7:16 KAS1528", "8:31 KAS1528"}},
		"vhosts in A":          {"loadBalancer: {shareWithGitLab: {vhosts: '127.0.0.1:9450'}}\n", []string{"6:42 KAS1528"}},
		"port 80 twice":        {"migration: {keep: [{listen: ':80', backend: 'b:80'}]}\n", []string{"6:29 KAS1501"}},
		"gRPC overlaps":        {"topology: B\ngrpcBalancer: {listen: ['127.0.0.1:9443']}\n", []string{"7:25 KAS1501"}},
		"D loopback": {"topology: D\nloadBalancer: {nodes: ['10.0.0.1:8150', '10.0.0.2:8150']}\nkas: {redis: {address: 'r:1'}}\n",
			[]string{"7:23 KAS1510", "7:23 KAS1510", "7:23 KAS1510", "7:23 KAS1516", "8:14 KAS1709"}},
		"B loopback": {"topology: B\nloadBalancer: {nodes: ['10.0.0.1:9443']}\nedge: {listen: ':9443'}\n", []string{"7:23 KAS1510", "7:23 KAS1516"}},
		"all at once": {
			"tls:\n  source: acme\n  colour: red\nloadBalancer:\n  kind: external-http\n  listen: ['0.0.0.0:99999']\nkas:\n  pathPrefix: k\n  listen: {api: '127.0.0.1:8150'}\ntimeouts: {idle: soon}\n",
			[]string{"7:11 KAS1506", "8:3 KAS1005", "10:9 KAS1502", "11:12 KAS1405", "13:15 KAS1410", "14:17 KAS1501", "15:18 KAS1008"},
		},
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for name, tc := range faults() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := tc.in
			if !strings.HasPrefix(in, "apiVersion") {
				in = base + in
			}
			s, fs := spec.ReadOn(time.Date(2026, 1, 31, 23, 0, 0, 0, time.UTC), "k.yaml", []byte(in), nil)
			var got []string
			for _, f := range fs {
				line := strings.TrimPrefix(f.String(), "k.yaml:") + " " + f.Code
				if f.Suppressed != nil {
					line += " suppressed"
				}
				got = append(got, line)
				if f.What == "" || f.Why == "" || f.Fix == "" {
					t.Errorf("%v: without reason or fix", f)
				}
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("%s\n%v", d, fs)
			}
			if (s == nil) != fs.Failed() {
				t.Errorf("a spec of %v with findings %v", s, fs)
			}
		})
	}
}

// TestEveryCodeHasACase fails when a code is added without a fault that shows
// it.
func TestEveryCodeHasACase(t *testing.T) {
	t.Parallel()
	covered := map[string]bool{}
	for _, tc := range faults() {
		for _, w := range tc.want {
			code := strings.Fields(w)[1]
			covered[code] = true
		}
	}
	declared := regexp.MustCompile(`= "(KAS1\d{3})"`)
	for _, file := range []string{"codes.go", "../../internal/strictyaml/doc.go"} {
		text, err := os.ReadFile(filepath.FromSlash(file))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range declared.FindAllStringSubmatch(string(text), -1) {
			if !covered[m[1]] {
				t.Errorf("no case shows %s", m[1])
			}
		}
	}
}

func TestOverrides(t *testing.T) {
	t.Parallel()
	s, fs := spec.Read("k.yaml", []byte(base), []spec.Override{
		{Field: "names.kas", Text: "other.gitlab.example.com", Source: "--kas-name"},
		{Field: "timeouts.idle", Text: "3h", Source: "KASGEN_TIMEOUTS_IDLE"},
		{Field: "loadBalancer.shareWithGitLab.enabled", Text: "true", Source: "--x"},
	})
	if len(fs) > 0 {
		t.Fatal(fs)
	}
	if got := fmt.Sprint(s.Names.KAS, " ", s.Timeouts.Idle, " ", s.LoadBalancer.ShareWithGitLab.Enabled); got != "other.gitlab.example.com 10800000000000 true" {
		t.Error(got)
	}
	// A fault of an override is at the override, and reported once.
	_, fs = spec.Read("k.yaml", []byte(base+"timeouts: {idle: nonsense}\n"), []spec.Override{
		{Field: "names.kas", Text: "UPPER", Source: "--kas-name"},
		{Field: "timeouts.idle", Text: "soon", Source: "KASGEN_TIMEOUTS_IDLE"},
		{Field: "loadBalancer.shareWithGitLab.enabled", Text: "perhaps", Source: "--share"},
	})
	var got []string
	for _, f := range fs {
		got = append(got, f.String()+" "+f.Code)
	}
	want := []string{"--kas-name KAS1404", "--share KAS1008", "KASGEN_TIMEOUTS_IDLE KAS1008", "k.yaml:6:18 KAS1008"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestScalars holds each override to the field that it names.
func TestScalars(t *testing.T) {
	t.Parallel()
	flags := map[string]bool{}
	for _, scalar := range spec.Scalars() {
		if flags[scalar.Flag] {
			t.Errorf("--%s is there twice", scalar.Flag)
		}
		flags[scalar.Flag] = true
		text := "v" + strings.ReplaceAll(scalar.Flag, "-", "")
		switch {
		case strings.HasPrefix(scalar.Field, "timeouts."):
			text = "61m0s"
		case strings.HasSuffix(scalar.Field, ".enabled"):
			text = "true"
		}
		_, fs := spec.Read("k.yaml", []byte(base), []spec.Override{{Field: scalar.Field, Text: text, Source: "flag"}})
		for _, f := range fs {
			if f.File == "flag" && f.Field != scalar.Field {
				t.Errorf("--%s sets %s", scalar.Flag, f.Field)
			}
		}
		if !fieldExists(reflect.TypeFor[spec.Spec](), strings.Split(scalar.Field, ".")) {
			t.Errorf("--%s names %s, which is no field", scalar.Flag, scalar.Field)
		}
	}
}

func fieldExists(t reflect.Type, path []string) bool {
	if len(path) == 0 {
		return true
	}
	if t.Kind() != reflect.Struct {
		return false
	}
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("json") == path[0] {
			return fieldExists(t.Field(i).Type, path[1:])
		}
	}
	return false
}

// TestExample holds what stands in for a missing file to the rules.
func TestExample(t *testing.T) {
	t.Parallel()
	if s, fs := spec.Read("(default)", []byte(spec.Example), nil); len(fs) > 0 || s == nil {
		t.Error(fs)
	}
}

// TestDigest holds the digest to what the spec means, not how it is written.
func TestDigest(t *testing.T) {
	t.Parallel()
	digest := func(text string) string {
		s, fs := spec.Read("k.yaml", []byte(text), nil)
		if fs.Failed() {
			t.Fatal(fs)
		}
		return s.Digest()
	}
	if digest(base) != digest("# a comment\n"+base+"topology: A\n") {
		t.Error("a default that is written out changes the digest")
	}
	if digest(base) == digest(base+"timeouts: {idle: 3h}\n") {
		t.Error("another limit has the same digest")
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(spec.Example))
	for _, tc := range faults() {
		if len(tc.in) < 1000 {
			f.Add([]byte(base + tc.in))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, fs := spec.Read("k.yaml", data, nil)
		if (s == nil) != fs.Failed() {
			t.Fatal(s, fs)
		}
	})
}
