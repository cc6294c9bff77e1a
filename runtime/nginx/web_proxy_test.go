package nginx

import (
	"strings"
	"testing"

	"kasgen/runtime/balancer/balancertest"
)

func TestWebProxy(t *testing.T) {
	t.Parallel()
	w := newWeb(t, `
map $http_upgrade $connection_upgrade { default upgrade; "" close; }
upstream origin { server ORIGIN; }
upstream two { server DEAD; server ORIGIN backup; }
upstream dead { server DEAD; }
upstream flaky { server BROKEN max_fails=0; server ORIGIN max_fails=0; }
proxy_set_header X-Outer outer;
server { listen BIND0; server_name a.example.com;
    proxy_http_version 1.1;
    location / { proxy_pass http://origin; }
    location /ten { proxy_http_version 1.0; proxy_pass http://origin; }
    location /sets { proxy_set_header Host $http_host; proxy_set_header X-Empty ""; proxy_set_header User-Agent ""; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
        proxy_set_header X-Real-IP $remote_addr; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Twice a; proxy_set_header X-Twice b; proxy_set_header X-Orig $http_x_forwarded_for;
        proxy_set_header X-Vars "$proxy_host $proxy_port $request_method $server_protocol $content_length $content_type $server_name $arg_a $cookie_c $http_x_none"; proxy_pass http://origin; }
    location /hosts/ip { proxy_pass http://ORIGIN; }
    location /hosts/default { proxy_pass http://127.0.0.1:80; }
    location /nostream { proxy_request_buffering off; proxy_pass http://origin; }
    location /nostream10 { proxy_request_buffering off; proxy_http_version 1.0; proxy_pass http://origin; }
    location /nobuffer { proxy_buffering off; proxy_pass http://origin; }
    location /nobody { proxy_pass_request_body off; proxy_pass_request_headers off; proxy_pass http://origin; }
    location /hide { proxy_hide_header X-Powered-By; proxy_hide_header set-cookie; proxy_pass_header Server; proxy_pass_header X-Accel-Expires; proxy_pass http://origin/headers; }
    location /add { add_header X-Status "$status $upstream_status $upstream_http_x_powered_by $sent_http_content_type"; add_header X-All y always; proxy_pass http://origin; }
    location /redirect/ { proxy_pass http://origin/; }
    location /redirect2/ { proxy_pass http://origin; }
    location /redirect3/ { proxy_redirect off; proxy_pass http://origin; }
    location /redirect4/ { proxy_redirect http://origin/ /x/; proxy_redirect http://$host/ https://$host/y/; proxy_pass http://origin; }
    location /redirect5/ { proxy_set_header Host $host; proxy_pass http://origin/; proxy_redirect default; }
    location /intercept { proxy_intercept_errors on; error_page 404 503 /page; error_page 502 =200 /page; proxy_pass http://origin; }
    location /nointercept { error_page 404 503 /page; proxy_pass http://origin; }
    location /page { return 200 "page $uri $status\n"; }
    location /dead { proxy_pass http://dead; }
    location /deadpage { error_page 502 /page; proxy_pass http://dead; }
    location /two { proxy_pass http://two; }
    location /twooff { proxy_next_upstream off; proxy_pass http://two; }
    location /flaky { proxy_next_upstream error timeout invalid_header http_503; proxy_pass http://flaky; }
    location /silent { proxy_read_timeout 300ms; proxy_pass http://origin; }
    location /tls { proxy_pass https://TLS; }
    location /tlsverify { proxy_ssl_verify on; proxy_ssl_trusted_certificate PEM; proxy_ssl_name kas.example.com; proxy_ssl_server_name on; proxy_pass https://TLS; }
    location /tlsbad { proxy_ssl_verify on; proxy_ssl_trusted_certificate PEM; proxy_ssl_name other.example.com; proxy_pass https://TLS; }
    location /body10 { client_max_body_size 10; proxy_pass http://origin; }
    location /body10stream { client_max_body_size 10; proxy_request_buffering off; proxy_pass http://origin; }
    location /bodyreturn { client_max_body_size 10; return 200 ok; }
    location /bodypage { client_max_body_size 10; error_page 413 /page; proxy_pass http://origin; }
    location /buffer { client_body_buffer_size 4k; client_max_body_size 0; proxy_pass http://origin; }
    location /gzip { gzip on; gzip_types text/x-origin; gzip_proxied expired no-cache; gzip_vary on; proxy_pass http://origin; }
    location /gzip-stream { gzip on; gzip_types *; gzip_min_length 1000; proxy_buffering off; proxy_pass http://origin; }
    location /gzip-not { gzip on; proxy_pass http://origin; }
    location /gzip-text { gzip on; gzip_types text/plain; gzip_comp_level 5; return 200 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"; }
    location /gzip-short { gzip on; gzip_types text/plain; return 200 "x"; }
    location /break { set $a 1; if ($arg_b) { break; } set $a 2; return 200 $a; }
    location /upgrade { proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade; proxy_pass http://origin; }
    location /upgrade-not { proxy_pass http://origin; }
    location /upgrade-short { proxy_read_timeout 300ms; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade; proxy_pass http://origin; }
}
server { listen BIND1; set_real_ip_from 127.0.0.0/8; set_real_ip_from 10.0.0.0/8; real_ip_header X-Forwarded-For; return 200 "$remote_addr|$realip_remote_addr\n"; }
server { listen BIND2; set_real_ip_from 127.0.0.0/8; set_real_ip_from 10.0.0.0/8; real_ip_header X-Forwarded-For; real_ip_recursive on; return 200 "$remote_addr|$proxy_add_x_forwarded_for\n"; }
server { listen BIND3; set_real_ip_from 192.0.2.1; real_ip_header X-Forwarded-For; return 200 "$remote_addr\n"; }
server { listen BIND4 proxy_protocol; set_real_ip_from 127.0.0.1; real_ip_header proxy_protocol; return 200 "$remote_addr|$proxy_protocol_addr|$proxy_protocol_port|$realip_remote_addr\n"; }
server { listen BIND5 proxy_protocol; return 200 "$remote_addr|$proxy_protocol_addr\n"; }
server { listen BIND6; set_real_ip_from 127.0.0.1; return 200 "$remote_addr\n"; }
server { listen BIND7; set_real_ip_from 127.0.0.1; real_ip_header X-Client; return 200 "$remote_addr\n"; }
server { listen BIND8 so_keepalive=10s:5s:3; underscores_in_headers on; keepalive_requests 2; location / { proxy_pass http://origin; } }
server { listen BIND9; keepalive_timeout 0; ignore_invalid_headers off; location / { proxy_pass http://origin; } }
`, replacements(t)...)
	header := func(bind string, h ...string) request {
		return request{name: bind + strings.Join(h, ","), bind: bind, raw: get("/", h...)}
	}
	upgrade := func(path, token, early string) request {
		return request{name: "upgrade " + path + token + early, raw: "GET " + path + " HTTP/1.1\r\nHost: a.example.com\r\nConnection: Upgrade\r\nUpgrade: " + token + "\r\n\r\n" + early}
	}
	chunked := func(path, body string) request {
		return request{name: "chunked " + path, raw: "POST " + path + " HTTP/1.1\r\nHost: a.example.com\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + itoa16(len(body)) + "\r\n" + body + "\r\n0\r\n\r\n"}
	}
	gzip := "Accept-Encoding: deflate, gzip"
	requests := []request{
		{raw: get("/gzip", gzip)}, {raw: get("/gzip")}, {raw: get("/gzip", "Accept-Encoding: gzip;q=0")}, {raw: get("/gzip", "Accept-Encoding: gzip;q=0.5, br")}, {raw: get("/gzip/headers", gzip)}, {raw: get("/gzip/status=404", gzip)}, {raw: get("/gzip/status=201", gzip)},
		{raw: get("/gzip", gzip, "Via: x")}, {name: "gzip 1.0", raw: strings.Replace(get("/gzip", gzip), "1.1", "1.0", 1)}, {raw: get("/gzip-stream/chunked", gzip)}, {raw: get("/gzip-stream", gzip)}, {raw: get("/gzip-not", gzip)},
		{raw: get("/gzip-text", gzip)}, {raw: get("/gzip-short", gzip)}, {name: "gzip HEAD", raw: strings.Replace(get("/gzip-text", gzip), "GET", "HEAD", 1)}, {raw: get("/break")}, {raw: get("/break?b=1")},
		{raw: get("/x", "User-Agent: u", "Accept: */*", "X-A: 1", "x-a: 2", "TE: trailers", "Keep-Alive: 5", "Upgrade: x", "Under_score: 1", "X.Dot: 2", "Cookie: a=b", "Proxy-Connection: z")},
		{raw: get("/ten")}, {name: "HEAD", raw: strings.Replace(get("/x"), "GET", "HEAD", 1)}, {name: "DELETE", raw: strings.Replace(get("/x"), "GET", "DELETE", 1)},
		{raw: get("/sets?a=1", "X-Forwarded-For: 9.9.9.9", "X-Forwarded-For: 8.8.8.8", "Cookie: c=d; e=f", "User-Agent: u", "X-Empty: client", "X-Twice: client")}, {raw: get("/sets", "Upgrade: websocket")},
		{name: "sets post", raw: post("/sets", "12345", "Content-Type: text/q")},
		{raw: get("/hosts/ip")}, {raw: post("/x", "hello")}, {name: "empty post", raw: post("/x", "")}, {name: "post without length", raw: strings.Replace(get("/x"), "GET", "POST", 1)},
		chunked("/x", "hello"), chunked("/ten", "hello"), chunked("/nostream", strings.Repeat("hello", 40000)), chunked("/nostream10", "hello"), {raw: post("/nostream", "hello")}, {raw: get("/nobody", "X-A: 1")},
		{raw: get("/nobuffer/chunked")}, {raw: get("/chunked")}, {raw: get("/headers")}, {raw: get("/hide")}, {raw: get("/add")}, {raw: get("/add/status=404")}, {raw: get("/add/status=201")},
		{raw: get("/redirect/moved")}, {raw: get("/redirect2/moved")}, {raw: get("/redirect3/moved")}, {raw: get("/redirect4/moved")}, {raw: get("/redirect5/moved")}, {raw: get("/redirect/relative")},
		{raw: get("/intercept/status=404")}, {raw: get("/intercept/status=503")}, {raw: get("/intercept/status=502")}, {raw: get("/intercept/status=500")}, {raw: get("/intercept/status=200")}, {name: "intercepted post", raw: post("/intercept/status=404", "x")},
		{raw: get("/nointercept/status=404")}, {raw: get("/status=204")}, {raw: get("/status=304")}, {raw: get("/status=401")}, {raw: get("/status=299")},
		{raw: get("/dead")}, {raw: get("/deadpage")}, {raw: get("/two")}, {raw: get("/twooff")}, {raw: get("/flaky/1")}, {raw: get("/flaky/2")}, {name: "flaky post", raw: post("/flaky/3", "x")},
		{raw: get("/silent")}, {raw: get("/hangup")}, {raw: get("/bighead")}, {raw: get("/nobuffer/broken")},
		{raw: get("/tls")}, {raw: get("/tlsverify")}, {raw: get("/tlsbad")},
		{name: "body 10", raw: post("/body10", "0123456789")}, {name: "body 11", raw: post("/body10", "0123456789a")}, chunked("/body10", "0123456789"), chunked("/body10", "0123456789a"), {name: "stream 11", raw: post("/body10stream", "0123456789a")},
		{name: "body 11 before return", raw: post("/bodyreturn", "0123456789a")}, {name: "body 11 page", raw: post("/bodypage", "0123456789a")},
		{name: "1 MiB", raw: post("/x", strings.Repeat("x", 1<<20))}, {name: "more than 1 MiB", raw: post("/x", strings.Repeat("x", 1<<20+1))}, {name: "file", raw: post("/buffer", strings.Repeat("xyz", 50000))},
		upgrade("/upgrade", "websocket", ""), upgrade("/upgrade", "SPDY/3.1", ""), {raw: get("/upgrade-not", "Upgrade: websocket")}, {raw: get("/upgrade/status=403", "Upgrade: websocket")},
		header("BIND1"), header("BIND1", "X-Forwarded-For: 9.9.9.9"), header("BIND1", "X-Forwarded-For: 9.9.9.9, 10.1.1.1"), header("BIND1", "X-Forwarded-For: 1.1.1.1", "X-Forwarded-For: 2.2.2.2"), header("BIND1", "X-Forwarded-For: 9.9.9.9:77"), header("BIND1", "X-Forwarded-For: junk"),
		header("BIND1", "X-Forwarded-For: 9.9.9.9,"), header("BIND1", "X-Forwarded-For: 2001:db8::1"), header("BIND1", "X-Forwarded-For: [2001:db8::1]:5"),
		header("BIND2", "X-Forwarded-For: 9.9.9.9, 10.1.1.1"), header("BIND2", "X-Forwarded-For: 10.9.9.9, 10.1.1.1"), header("BIND2", "X-Forwarded-For: junk, 10.1.1.1"), header("BIND2", "X-Forwarded-For: 3.3.3.3", "X-Forwarded-For: 10.0.0.1"),
		header("BIND3", "X-Forwarded-For: 9.9.9.9"), header("BIND6", "X-Real-IP: 9.9.9.9"), header("BIND7", "X-Client: 9.9.9.9"),
		{name: "proxy 1", bind: "BIND4", raw: "PROXY TCP4 1.2.3.4 5.6.7.8 90 91\r\n" + get("/")}, {name: "proxy 1 untrusted", bind: "BIND5", raw: "PROXY TCP4 1.2.3.4 5.6.7.8 90 91\r\n" + get("/")}, {name: "proxy unknown", bind: "BIND4", raw: "PROXY UNKNOWN\r\n" + get("/")},
		{name: "proxy 2", bind: "BIND4", raw: "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x00\x5a\x00\x5b" + get("/")}, {name: "proxy missing", bind: "BIND4", raw: get("/")},
		{name: "underscores", bind: "BIND8", raw: get("/", "Under_score: 1", "X.Dot: 2")}, {name: "invalid headers", bind: "BIND9", raw: get("/", "Under_score: 1", "X.Dot: 2")},
		{name: "keepalive_requests", bind: "BIND8", raw: "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\nGET /3 HTTP/1.1\r\nHost: x\r\n\r\n"},
		{name: "keepalive_timeout 0", bind: "BIND9", raw: "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n"},
	}
	compare(t, w, requests)
}

// replacements are the upstreams of the tables.
func replacements(t testing.TB) []string {
	t.Helper()
	pem, _ := balancertest.CombinedPEM(t)
	chmodUp(t, pemDir(pem))
	return []string{"ORIGIN", origin(t), "DEAD", "127.0.0.1:1", "BROKEN", broken(t), "TLS", tlsOrigin(t, pem), "PEM", pem}
}
