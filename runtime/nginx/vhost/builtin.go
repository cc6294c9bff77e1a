package vhost

import (
	"crypto/tls"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// builtin is a variable that nginx brings along, nil if there is none.
func builtin(name string) func(*request) string {
	for prefix, get := range families() {
		if rest, ok := strings.CutPrefix(name, prefix); ok && rest != "" {
			if own, ok := builtins()[name]; ok {
				return own
			}
			return func(q *request) string { return get(q, rest) }
		}
	}
	return builtins()[name]
}

func builtinNames() []string { return slices.Sorted(maps.Keys(builtins())) }

// families is variables whose name has a free part.
func families() map[string]func(q *request, rest string) string {
	return map[string]func(*request, string) string{
		"http_": func(q *request, rest string) string { return q.header(rest) },
		"arg_":  func(q *request, rest string) string { return argument(q.args, rest) },
		"cookie_": func(q *request, rest string) string {
			for _, c := range q.r.Cookies() {
				if strings.EqualFold(c.Name, rest) {
					return c.Value
				}
			}
			return ""
		},
		"sent_http_": func(q *request, rest string) string { return field(q.sent, rest) },
		"upstream_http_": func(q *request, rest string) string {
			return field(q.upstream.header, rest)
		},
	}
}

// field is a header by the name that a variable gives it.
func field(h http.Header, name string) string {
	v := h.Values(strings.ReplaceAll(name, "_", "-"))
	if len(v) == 0 {
		return ""
	}
	return v[0]
}

// header is a request header as $http_ shows it.
func (q *request) header(name string) string {
	switch name {
	case "host":
		return q.r.Host
	case "x_forwarded_for":
		return strings.Join(q.r.Header["X-Forwarded-For"], ", ")
	case "cookie":
		return strings.Join(q.r.Header["Cookie"], "; ")
	case "content_length":
		return q.contentLength()
	case "transfer_encoding":
		return strings.Join(q.r.TransferEncoding, ", ")
	}
	return field(q.r.Header, name)
}

func (q *request) contentLength() string {
	if q.r.ContentLength > 0 || q.r.ContentLength == 0 && len(q.r.Header["Content-Length"]) > 0 {
		return strconv.FormatInt(q.r.ContentLength, 10)
	}
	return ""
}

func argument(args, name string) string {
	for pair := range strings.SplitSeq(args, "&") {
		if key, value, ok := strings.Cut(pair, "="); ok && strings.EqualFold(key, name) {
			return value
		}
	}
	return ""
}

func builtins() map[string]func(*request) string {
	onlyLog := func(*request) string { return "" }
	m := map[string]func(*request) string{
		"host":                func(q *request) string { return q.hostName() },
		"hostname":            func(*request) string { name, _ := os.Hostname(); return name },
		"uri":                 func(q *request) string { return q.uri },
		"document_uri":        func(q *request) string { return q.uri },
		"request_uri":         func(q *request) string { return q.unparsed },
		"args":                func(q *request) string { return q.args },
		"query_string":        func(q *request) string { return q.args },
		"is_args":             func(q *request) string { return ifset(q.args != "", "?") },
		"request_method":      func(q *request) string { return q.r.Method },
		"request":             func(q *request) string { return q.r.Method + " " + q.r.RequestURI + " " + q.protocol() },
		"scheme":              func(q *request) string { return q.scheme() },
		"https":               func(q *request) string { return ifset(q.r.TLS != nil, "on") },
		"http2":               func(q *request) string { return q.http2() },
		"server_name":         func(q *request) string { return q.server.name },
		"server_port":         func(q *request) string { return port(q.local) },
		"server_addr":         func(q *request) string { return q.local.Addr().String() },
		"server_protocol":     func(q *request) string { return q.protocol() },
		"remote_addr":         func(q *request) string { return q.remote.Addr().String() },
		"remote_port":         func(q *request) string { return port(q.remote) },
		"binary_remote_addr":  func(q *request) string { return string(q.remote.Addr().AsSlice()) },
		"realip_remote_addr":  func(q *request) string { return q.peer.Addr().String() },
		"realip_remote_port":  func(q *request) string { return port(q.peer) },
		"proxy_protocol_addr": func(q *request) string { return addr(q.source) },
		"proxy_protocol_port": func(q *request) string { return port(q.source) },
		"content_length":      func(q *request) string { return q.contentLength() },
		"content_type":        func(q *request) string { return q.r.Header.Get("Content-Type") },
		"status":              func(q *request) string { return q.shownStatus() },
		"proxy_host":          func(q *request) string { return q.upstream.host },
		"proxy_port":          func(q *request) string { return q.upstream.port },
		"proxy_add_x_forwarded_for": func(q *request) string {
			if before := q.header("x_forwarded_for"); before != "" {
				return before + ", " + q.remote.Addr().String()
			}
			return q.remote.Addr().String()
		},
		"upstream_addr":   func(q *request) string { return q.upstream.addr },
		"upstream_status": func(q *request) string { return ifset(q.upstream.status > 0, strconv.Itoa(q.upstream.status)) },
		"document_root":   func(q *request) string { return q.root() },
		"realpath_root":   func(q *request) string { return q.root() },
		"request_filename": func(q *request) string {
			return q.file()
		},
		"nginx_version": func(*request) string { return version },
		"msec":          func(*request) string { return strconv.FormatFloat(float64(time.Now().UnixMilli())/1000, 'f', 3, 64) },
		"time_iso8601":  func(*request) string { return time.Now().Format("2006-01-02T15:04:05-07:00") },
		"time_local":    func(*request) string { return time.Now().Format("02/Jan/2006:15:04:05 -0700") },
		"ssl_server_name": func(q *request) string {
			return q.tls(func(s *tls.ConnectionState) string { return s.ServerName })
		},
		"ssl_protocol": func(q *request) string {
			return q.tls(func(s *tls.ConnectionState) string {
				return map[uint16]string{tls.VersionTLS10: "TLSv1", tls.VersionTLS11: "TLSv1.1", tls.VersionTLS12: "TLSv1.2", tls.VersionTLS13: "TLSv1.3"}[s.Version]
			})
		},
	}
	for _, name := range logged() {
		m[name] = onlyLog
	}
	return m
}

// logged are variables that are known for a log's form only.
func logged() []string {
	return []string{
		"bytes_sent", "body_bytes_sent", "connection", "connection_requests", "connection_time", "gzip_ratio", "pid", "pipe", "remote_user",
		"request_completion", "request_length", "request_time", "ssl_cipher", "ssl_session_reused", "upstream_bytes_received",
		"upstream_bytes_sent", "upstream_cache_status", "upstream_connect_time", "upstream_header_time", "upstream_response_length",
		"upstream_response_time", "request_id",
	}
}

func ifset(b bool, s string) string {
	if b {
		return s
	}
	return ""
}

func port(a netip.AddrPort) string { return ifset(a.Port() > 0, strconv.Itoa(int(a.Port()))) }

func addr(a netip.AddrPort) string { return ifset(a.IsValid(), a.Addr().String()) }

func (q *request) tls(f func(*tls.ConnectionState) string) string {
	if q.r.TLS == nil {
		return ""
	}
	return f(q.r.TLS)
}

func (q *request) scheme() string {
	if q.r.TLS != nil {
		return "https"
	}
	return "http"
}

func (q *request) http2() string {
	switch {
	case q.r.ProtoMajor < 2:
		return ""
	case q.r.TLS != nil:
		return "h2"
	default:
		return "h2c"
	}
}

func (q *request) protocol() string {
	if q.r.ProtoMajor == 2 {
		return "HTTP/2.0"
	}
	return q.r.Proto
}

// shownStatus is $status: while an error page is fetched, that of the error.
func (q *request) shownStatus() string {
	status := q.status
	if q.errStatus > 0 {
		status = q.errStatus
	}
	return ifset(status > 0, strconv.Itoa(status))
}

// hostName is $host: the request's, or the server's own.
func (q *request) hostName() string {
	if q.host != "" {
		return q.host
	}
	return q.server.name
}
