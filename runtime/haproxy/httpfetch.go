package haproxy

import (
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"

	"kasgen/internal/haproxyconf"
)

// request is a request as rules see and change it.
type request struct {
	original *http.Request
	// path is without the query, as it was sent.
	path string
	host string
	// header is without Host.
	header http.Header
}

func newRequest(r *http.Request) *request {
	return &request{original: r, path: pathOf(originForm(r)), host: r.Host, header: r.Header.Clone()}
}

// originForm is the request's target without scheme and authority, which
// HTTP/1.1 allows and HTTP/2 has in other places.
func originForm(r *http.Request) string {
	target := r.RequestURI
	if strings.HasPrefix(target, "/") {
		return target
	}
	if _, rest, ok := strings.Cut(target, "://"); ok {
		if i := strings.IndexAny(rest, "/?"); i < 0 {
			return "/"
		} else if rest[i] == '?' {
			return "/" + rest[i:]
		} else {
			return rest[i:]
		}
	}
	return target
}

func pathOf(target string) string {
	if !strings.HasPrefix(target, "/") {
		return "" // "*" has no path
	}
	path, _, _ := strings.Cut(target, "?")
	path, _, _ = strings.Cut(path, "#")
	return path
}

// values are those of a header, with commas as separators.
func (q *request) values(name string) []string {
	lines := q.header.Values(name)
	if strings.EqualFold(name, "Host") {
		lines = []string{q.host}
	}
	var out []string
	for _, line := range lines {
		for v := range strings.SplitSeq(line, ",") {
			out = append(out, strings.TrimSpace(v))
		}
	}
	return out
}

// httpFetches are the fetches of mode http, by the way in which they compare
// unless -m says another.
var httpFetches = map[string]string{
	"path": "str", "path_beg": "beg", "path_end": "end", "path_sub": "sub", "method": "str",
	"hdr": "str", "req.hdr": "str", "hdr_beg": "beg", "hdr_end": "end", "hdr_sub": "sub",
}

// httpExpression reads a fetch of httpFetches.
func (l *loader) httpExpression(p *proxy, words []haproxyconf.Word, how, args string, hasArgs bool) test {
	w := words[0]
	name, _, _ := strings.Cut(w.Value, "(")
	if !p.http() {
		l.unsupported(w, name+" in mode tcp", "there are no requests, and it would never match", "write mode http, or look at bytes: req.ssl_sni, req.payload")
		return nil
	}
	header, closed := strings.CutSuffix(args, ")")
	isHeader := strings.Contains(name, "hdr")
	switch {
	case isHeader && (!closed || !httpguts.ValidHeaderFieldName(header)):
		l.arguments(w, "%q is not %s(NAME)", w.Value, name)
		return nil
	case !isHeader && hasArgs:
		l.arguments(w, "%s has no arguments", name)
		return nil
	case isHeader:
		return l.text(func(v *view) ([]string, bool) { return v.request.values(header), false }, words, how)
	case name == "method":
		return l.text(func(v *view) ([]string, bool) { return []string{v.request.original.Method}, false }, words, how)
	default:
		return l.text(func(v *view) ([]string, bool) {
			if v.request.path == "" {
				return nil, false
			}
			return []string{v.request.path}, false
		}, words, how)
	}
}
