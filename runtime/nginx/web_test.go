package nginx

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// request is one request of a table: raw bytes, or a line with Host: a.
type request struct {
	name, bind, raw string
	// statusOnly is for heads that net/http refuses in its own words.
	statusOnly bool
}

// get is a plain request.
func get(target string, header ...string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: a.example.com\r\n" + lines(header) + "Connection: close\r\n\r\n"
}

// post has a body.
func post(target, body string, header ...string) string {
	return "POST " + target + " HTTP/1.1\r\nHost: a.example.com\r\nContent-Length: " + itoa(len(body)) + "\r\n" + lines(header) + "Connection: close\r\n\r\n" + body
}

// to is a request under another name.
func to(host, target string) string {
	return strings.Replace(get(target), "a.example.com", host, 1)
}

func lines(header []string) string {
	if len(header) == 0 {
		return ""
	}
	return strings.Join(header, "\r\n") + "\r\n"
}

// compare sends the same requests to the same file on nginx and on the
// embedded role: nginx's answer is what is wanted.
func compare(t *testing.T, w *web, requests []request) {
	t.Helper()
	want, got := w.run(t, native), w.run(t, embedded)
	t.Run("requests", func(t *testing.T) {
		for _, r := range requests {
			name := r.name
			if name == "" {
				name, _, _ = strings.Cut(r.raw, " HTTP/1")
			}
			bind := r.bind
			if bind == "" {
				bind = "BIND0"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w, g := want.send(t, bind, r.raw), got.send(t, bind, r.raw)
				if r.statusOnly {
					w, _, _ = strings.Cut(w, "\n")
					g, _, _ = strings.Cut(g, "\n")
				}
				if diff := cmp.Diff(w, g); diff != "" {
					t.Errorf("the embedded role differs (-nginx +embedded):\n%s", diff)
				}
			})
		}
	})
}

func TestWebRouting(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for name, text := range map[string]string{"acme/.well-known/acme-challenge/token": "key.thumbprint", "acme/index.html": "index", "acme/x.css": "css", "e/404.html": "not here"} {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	chmodUp(t, root)
	w := newWeb(t, `
map $http_upgrade $connection_upgrade { default upgrade; "" close; }
map "$uri $http_upgrade" $refused {
    default "";
    "~*^/k8s/pods/[^/]+/(?:exec|attach) websocket$" "";
    "~*^/k8s/pods/[^/]+/(?:exec|attach) .+$" other;
    "~*^/k8s/pods/[^/]+/(?:exec|attach) $" none;
}
map $host $by { hostnames; default d; .example.org org; *.example.com wild; b.example.com exact; www.example.* tail; "~^(?<first>[a-z]+)\.re\.(?P<rest>.*)$" "$first-$rest-$1"; }
map $arg_x $volatile { volatile; default 0; 1 one; "~^(\d+)$" "n$1"; \~x tilde; }
upstream origin { server ORIGIN; }
server { listen BIND0; server_name first.example.com; return 200 "first $host|$http_host|$server_name\n"; }
server { listen BIND0; server_name a.example.com;
    add_header X-Server a; add_header X-Always b always;
    location / { return 200 "root $uri|$args|$is_args|$request_uri\n"; }
    location = /exact { return 200 exact; }
    location /exact { return 200 "not exact"; }
    location /prefix { return 200 prefix; }
    location /prefix/longer { return 200 longer; }
    location ^~ /stop/ { return 200 stop; }
    location ~ ^/stop/ { return 200 never; }
    location ~ \.php$ { return 200 php; }
    location ~* \.JPG$ { return 200 jpg; }
    location ~ ^/cap/(?<id>\d+)/(.*)$ { return 200 "$id $1 $2\n"; }
    location /nest/ { location /nest/in/ { return 200 in; } location ~ x$ { return 200 "nested x"; } location = /nest/eq { return 200 eq; } return 200 out; }
    location /proxied/ { proxy_pass http://origin; }
    location /nodir { proxy_pass http://origin; }
    location /with/ { proxy_pass http://origin/other/; }
    location /with2 { proxy_pass http://origin/o; }
    location /strip/ { proxy_pass http://origin/; }
    location = /eq/ { proxy_pass http://origin/z?q=1; }
    location /addr/ { proxy_pass http://ORIGIN; }
    location /vars/ { set $up origin; proxy_pass http://$up; }
    location /vars2/ { set $up ORIGIN; proxy_pass http://$up/fixed$is_args$args; }
    location /vars3/ { set $up no.such.name; proxy_pass http://$up; }
    location /rw/ { rewrite ^/rw/last/(.*)$ /proxied/$1 last; rewrite ^/rw/break/(.*)$ /b/$1 break; rewrite ^/rw/redir/(.*)$ /to/$1 redirect; rewrite ^/rw/perm/(.*)$ /to/$1? permanent; rewrite ^/rw/abs http://x.example.com/y; rewrite ^/rw/args/(.*)$ /proxied/a?n=$1 last; rewrite ^/rw/noargs/(.*)$ /proxied/a? last; proxy_pass http://origin/ignored/; }
    location /loop { rewrite ^ /loop last; }
    location /k8s/ { default_type application/json; if ($refused = other) { return 400 '{"other":1}'; } if ($refused = none) { return 400 '{"none":1}'; } proxy_pass http://origin/; }
    location /k8s2/ { default_type text/plain; set $x "$http_a-$http_b"; if ($request_method !~ ^(GET|HEAD)$) { return 405; } if ($http_a) { set $x yes; } if ($arg_q ~* ^V(.*)$) { set $x "v$1"; } return 200 $x; }
    location /map { return 200 "$by|$volatile|$first|$rest\n"; }
    location /code/301 { return 301 /there?$args; }
    location /code/302 { return 302 https://$host$request_uri; }
    location /code/url { return http://elsewhere.example.com/; }
    location /code/308 { return 308 //x; }
    location /code/403 { return 403; }
    location /code/404 { return 404 "text"; }
    location /code/418 { return 418; }
    location /code/444 { return 444; }
    location /code/200 { return 200; }
    location /code/204 { return 204; }
    location /code/500 { return 500; }
    location /code/503 { return 503; }
    location /code/600 { return 600; }
    location /ct.css { types { text/css css; } return 200 css; }
    location /html.html { return 200 html; }
    location /internal/ { internal; return 200 "internal $uri $args"; }
    location /ep/ { error_page 404 /internal/404?x=$uri; error_page 500 502 =200 /internal/ok; error_page 403 = @named; error_page 410 https://gone.example.com/; error_page 411 =301 /moved; error_page 412 = /code/404;
        location /ep/404 { return 404; } location /ep/500 { return 500; } location /ep/403 { return 403; } location /ep/410 { return 410; } location /ep/411 { return 411; } location /ep/412 { return 412; } location /ep/404text { return 404 text; } }
    location @named { return 201 "named $uri $request_method"; }
    location /own/ { add_header X-Own c; add_header X-Var $uri; return 200 own; }
    location /own404/ { add_header X-Own c; return 404; }
    location /none/ { }
    location /files/ { alias ROOT/acme/; }
    location /.well-known/acme-challenge/ { root ROOT/acme; }
    location /missing/ { root ROOT/e; error_page 404 /404.html; }
    location = /404.html { root ROOT/e; internal; }
    location /tokens { server_tokens off; return 403; }
    location /tokens2 { server_tokens off; return 200 ok; }
    location /rel { absolute_redirect off; return 301 /x; }
    location /noport { port_in_redirect off; return 301 /x; }
    location /name { server_name_in_redirect on; return 301 /x; }
}
server { listen BIND0; server_name b.example.com *.wild.example.com .dot.example.com www.example.*; return 200 "b $server_name $host"; }
server { listen BIND0; server_name ~^(?<sub>\w+)\.re\.example\.com$ "~^\d+\.num$"; return 200 "re $sub $1 $server_name"; }
server { listen BIND0; server_name a.b.wild.example.com; return 200 "exact ab"; }
server { listen BIND1; server_name x; return 200 x; }
server { listen BIND1 default_server; merge_slashes off; return 200 "default $uri"; }
server { listen BIND2; set $v 1; rewrite ^/old/(.*)$ /new/$1; if ($host = gone.example.com) { return 410; } location /new/ { return 200 "new $uri $v"; } location / { return 200 "none $uri"; } }
`, "ORIGIN", origin(t), "ROOT", root)
	requests := []request{
		{raw: get("/")}, {raw: get("/exact")}, {raw: get("/exact/")}, {raw: get("/exactly")}, {raw: get("/prefix/long")}, {raw: get("/prefix/longerstill")},
		{raw: get("/stop/x.php")}, {raw: get("/a/b.php")}, {raw: get("/a/b.php/c")}, {raw: get("/a.jpg")}, {raw: get("/a.JpG?x=1")}, {raw: get("/cap/12/ab/c")},
		{raw: get("/nest/in/y")}, {raw: get("/nest/in/x")}, {raw: get("/nest/x")}, {raw: get("/nest/eq")}, {raw: get("/nest/y")}, {raw: get("/nest/a.php")},
		{raw: get("/a//b///c")}, {raw: get("/a/./b/../c")}, {raw: get("/a/%2e%2e/b")}, {raw: get("/a%2Fb%2f%2Fc")}, {raw: get("/%41%20%zz"), statusOnly: true}, {raw: get("/%"), statusOnly: true}, {raw: get("/%00")},
		{raw: get("/../x")}, {raw: get("/a/../../x")}, {raw: get("/a/..")}, {raw: get("/a/.")}, {raw: get("/a/...")}, {raw: get("/a/..b")}, {raw: get("/a#frag?x")}, {raw: get("/a?b#c")},
		{raw: get("/a?b=%zz&c=//..")}, {raw: get("/a%3Fb%23c%25d?e")}, {raw: get("/é/%C3%A9")}, {raw: get("/a+b%2Bc")},
		{raw: get("//")}, {raw: get("//x/y")}, {raw: get("http://b.example.com/abs?x")}, {raw: get("http://a.example.com")}, {raw: get("http://a.example.com?x=1")}, {raw: get("noslash"), statusOnly: true},
		{raw: get("/proxied")}, {raw: get("/proxied?x=1")}, {raw: get("/proxied/")}, {raw: get("/proxied/a%2Fb//c/../d?x=%20y")}, {raw: get("/nodir")}, {raw: get("/nodirx")},
		{raw: get("/with/a")}, {raw: get("/with/a%2Fb//c/../d%20e%3Ff%25?x=%20y")}, {raw: get("/with")}, {raw: get("/with2/x")}, {raw: get("/with2x")}, {raw: get("/strip/%2F%2Fx/%22<>")}, {raw: get("/strip/é")}, {raw: get("/strip/é%20")},
		{raw: get("/strip")}, {raw: get("/strip/?")}, {raw: get("/eq/")}, {raw: get("/eq")}, {raw: get("/addr/x")}, {raw: get("/vars/a%20b?c")}, {raw: get("/vars2/a%20b?c")}, {raw: get("/vars3/")},
		{raw: get("/rw/last/a%20b?c=d")}, {raw: get("/rw/break/a%20b?c=d")}, {raw: get("/rw/redir/a%20b?c=d")}, {raw: get("/rw/perm/a?c=d")}, {raw: get("/rw/abs?q")}, {raw: get("/rw/args/x?c=d")}, {raw: get("/rw/args/x%26y?c=d")}, {raw: get("/rw/noargs/x?c=d")}, {raw: get("/rw/none")},
		{raw: get("/loop")},
		{name: "exec by websocket", raw: get("/k8s/pods/p/exec?a", "Upgrade: WebSocket")}, {name: "exec by spdy", raw: get("/k8s/pods/p/exec", "Upgrade: SPDY/3.1")},
		{name: "exec without upgrade", raw: post("/k8s/pods/p/exec", "body")}, {name: "no exec", raw: get("/k8s/pods/p/log")},
		{name: "if method", raw: post("/k8s2/", "x")}, {name: "if header", raw: get("/k8s2/", "A: 1")}, {name: "if header 0", raw: get("/k8s2/", "A: 0")}, {raw: get("/k8s2/?q=vwx")}, {name: "HEAD text", raw: strings.Replace(get("/k8s2/"), "GET", "HEAD", 1)},
		{raw: get("/map")}, {raw: get("/map?x=1")}, {raw: get("/map?x=22")}, {raw: get("/map?x=~x")}, {raw: to("b.example.com", "/map")}, {raw: to("A.Example.Com.:99", "/map")},
		{raw: get("/code/301?x=1")}, {raw: get("/code/302?x=1")}, {raw: get("/code/url")}, {raw: get("/code/308")}, {raw: get("/code/403")}, {raw: get("/code/404")}, {raw: get("/code/418")}, {raw: get("/code/444")},
		{raw: get("/code/200")}, {raw: get("/code/204")}, {raw: get("/code/500")}, {raw: get("/code/503")}, {raw: get("/code/600")}, {raw: get("/ct.css")}, {raw: get("/html.html")}, {raw: get("/internal/x")},
		{raw: get("/ep/404")}, {raw: get("/ep/500")}, {raw: get("/ep/403")}, {name: "named keeps the method", raw: post("/ep/403", "x")}, {raw: get("/ep/410")}, {raw: get("/ep/411")}, {raw: get("/ep/412")}, {raw: get("/ep/404text")}, {raw: get("/ep/none")},
		{raw: get("/own/x")}, {raw: get("/own404/")}, {raw: get("/none/x")}, {raw: get("/files/x.css")}, {raw: get("/files/")}, {raw: get("/files/none")}, {raw: get("/files/../x")},
		{raw: get("/.well-known/acme-challenge/token")}, {raw: get("/.well-known/acme-challenge/other")}, {raw: get("/.well-known/acme-challenge/")}, {raw: get("/.well-known/acme-challenge")}, {raw: get("/.well-known/acme-challenge/..%2f..%2findex.html")},
		{name: "HEAD file", raw: strings.Replace(get("/.well-known/acme-challenge/token"), "GET", "HEAD", 1)}, {name: "POST file", raw: post("/.well-known/acme-challenge/token", "x")},
		{raw: get("/missing/x")}, {raw: get("/404.html")}, {raw: get("/tokens")}, {raw: get("/tokens2")}, {raw: get("/rel")}, {raw: get("/noport")}, {raw: get("/name")},
		{raw: to("first.example.com", "/")}, {raw: to("unknown.example.com:8443", "/x")}, {raw: to("b.example.com", "/")}, {raw: to("x.y.wild.example.com", "/")}, {raw: to("wild.example.com", "/")}, {raw: to("a.b.wild.example.com", "/")},
		{raw: to("dot.example.com", "/")}, {raw: to("x.dot.example.com", "/")}, {raw: to("www.example.net", "/")}, {raw: to("sub.re.example.com", "/")}, {raw: to("12.num", "/")}, {raw: to("B.EXAMPLE.COM.", "/")},
		{raw: to("", "/"), statusOnly: true}, {raw: to("a..b", "/")}, {raw: to("a/b", "/"), statusOnly: true}, {raw: to("[::1]:80", "/")}, {raw: to("a_b", "/")},
		{name: "no host, 1.0", raw: "GET / HTTP/1.0\r\n\r\n"}, {name: "no host, 1.1", raw: "GET / HTTP/1.1\r\nConnection: close\r\n\r\n", statusOnly: true}, {name: "two hosts", raw: get("/", "Host: b.example.com"), statusOnly: true},
		{name: "lower case method", raw: strings.Replace(get("/"), "GET", "get", 1)}, {name: "TRACE", raw: strings.Replace(get("/"), "GET", "TRACE", 1)}, {name: "OPTIONS *", raw: strings.Replace(get("*"), "GET", "OPTIONS", 1)},
		{name: "unknown method", raw: strings.Replace(get("/proxied/"), "GET", "PROP_FIND-X", 1)},
		{name: "default server", bind: "BIND1", raw: get("/a//b")}, {name: "keep-alive", bind: "BIND1", raw: "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n"},
		{name: "server rewrite", bind: "BIND2", raw: get("/old/x?y")}, {name: "server if", bind: "BIND2", raw: to("gone.example.com", "/")}, {name: "server set", bind: "BIND2", raw: get("/new/")}, {name: "server none", bind: "BIND2", raw: get("/")},
		{name: "long line", raw: get("/" + strings.Repeat("x", 9000))}, {name: "long header", raw: get("/", "X: "+strings.Repeat("x", 9000))}, {name: "long enough", raw: get("/", "X: "+strings.Repeat("x", 8000))},
		{name: "many headers", raw: get("/", "A: "+strings.Repeat("x", 8000), "B: "+strings.Repeat("x", 8000), "C: "+strings.Repeat("x", 8000), "D: "+strings.Repeat("x", 8000), "E: "+strings.Repeat("x", 8000))},
	}
	compare(t, w, requests)
}
