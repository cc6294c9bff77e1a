package vhost

import (
	"compress/gzip"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Statuses that net/http has no name for.
const (
	statusClose        = 444 // close without an answer
	statusHeadTooLarge = 494 // answered as 400
	statusGone         = 499 // the client has left
	statusTimedOut     = http.StatusRequestTimeout
)

// answer is a ResponseWriter that counts.
type answer struct {
	http.ResponseWriter
	sent   int64
	status int
	packed *gzip.Writer // nil: as it is
	bare   bool         // the answer is to HEAD, and has no body
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// WriteHeader remembers the status.
func (a *answer) WriteHeader(status int) {
	if status >= 200 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

// Write writes a piece of the body.
func (a *answer) Write(p []byte) (int, error) {
	if a.packed != nil && !a.bare {
		return a.packed.Write(p)
	}
	return a.plain(p)
}

// plain counts.
func (a *answer) plain(p []byte) (int, error) {
	n, err := a.ResponseWriter.Write(p)
	a.sent += int64(n)
	return n, err
}

// close ends the client's connection after this answer.
func (a *answer) close() { a.Header().Set("Connection", "close") }

// abort ends the connection, or the stream, without another word.
func (a *answer) abort() { panic(http.ErrAbortHandler) }

// title is nginx's own wording where net/http's differs.
func title(status int) string {
	switch status {
	case http.StatusRequestEntityTooLarge:
		return "413 Request Entity Too Large"
	case http.StatusRequestURITooLong:
		return "414 Request-URI Too Large"
	case http.StatusRequestedRangeNotSatisfiable:
		return "416 Requested Range Not Satisfiable"
	case http.StatusServiceUnavailable:
		return "503 Service Temporarily Unavailable"
	case http.StatusGatewayTimeout:
		return "504 Gateway Time-out"
	case http.StatusRequestTimeout:
		return "408 Request Time-out"
	case http.StatusMethodNotAllowed:
		return "405 Not Allowed"
	case http.StatusHTTPVersionNotSupported:
		return "505 HTTP Version Not Supported"
	case http.StatusInsufficientStorage:
		return "507 Insufficient Storage"
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect,
		400, 401, 402, 403, 404, 406, 409, 410, 411, 412, 415, 421, 429, 500, 501, 502:
		return strconv.Itoa(status) + " " + http.StatusText(status)
	}
	return ""
}

// page is nginx's own page for a status; it has none for some.
func (q *request) page(status int) string {
	t, more := title(status), ""
	if status == statusHeadTooLarge {
		t, more = "400 Bad Request", "<center>Request Header Or Cookie Too Large</center>\r\n"
	}
	if t == "" {
		return ""
	}
	head := t
	if more != "" {
		head = "400 Request Header Or Cookie Too Large"
	}
	return pageOf(head, t, more, q.signature())
}

// pageOf is how nginx's pages are written.
func pageOf(title, heading, more, signature string) string {
	return fmt.Sprintf("<html>\r\n<head><title>%s</title></head>\r\n<body>\r\n<center><h1>%s</h1></center>\r\n%s<hr><center>%s</center>\r\n</body>\r\n</html>\r\n", title, heading, more, signature)
}

// cleartext is a whole answer for who speaks no TLS where TLS is spoken, which
// net/http never hears of. error_page is not for it.
func (s *settings) cleartext() string {
	const title = "The plain HTTP request was sent to HTTPS port"
	return s.whole("400 Bad Request", pageOf("400 "+title, "400 Bad Request", "<center>"+title+"</center>\r\n", s.signature()))
}

// refused is a whole answer to a head that net/http cannot read, by the status
// that it has for it.
func (s *settings) refused(status int) string {
	t, more := title(status), ""
	head := t
	switch status {
	case http.StatusRequestHeaderFieldsTooLarge:
		t, head, more = "400 Bad Request", "400 Request Header Or Cookie Too Large", "<center>Request Header Or Cookie Too Large</center>\r\n"
	case http.StatusHTTPVersionNotSupported, http.StatusNotImplemented:
	default:
		t, head = "400 Bad Request", "400 Bad Request"
	}
	return s.whole(t, pageOf(head, t, more, s.signature()))
}

// whole is an answer, its head included, on a connection that ends.
func (s *settings) whole(status, body string) string {
	return fmt.Sprintf("HTTP/1.1 %s\r\nServer: %s\r\nDate: %s\r\nContent-Type: text/html\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		status, s.signature(), time.Now().UTC().Format(http.TimeFormat), len(body), body)
}

// signature is what nginx calls itself.
func (s *settings) signature() string {
	if s.serverTokens {
		return "nginx/" + version
	}
	return "nginx"
}

func (q *request) signature() string { return q.settings.signature() }

// fail answers with a status and nginx's page for it, or with the page that
// error_page names.
func (q *request) fail(status int) step {
	switch status {
	case statusTimedOut, statusGone, statusClose:
		q.status = status
		q.w.abort() // nobody waits for an answer
	case 400, 413, 414, statusHeadTooLarge, 500, 501:
		q.w.close()
	}
	q.errStatus = shown(status)
	if !q.erring && len(q.settings.errorPages) > 0 && q.changes > 0 {
		q.erring = !q.settings.recursiveErrors
		for _, p := range q.settings.errorPages {
			if p.status == status {
				return q.errorPage(p)
			}
		}
	}
	return q.special(status, "")
}

// special answers with nginx's page for a status.
func (q *request) special(status int, location string) step {
	q.errStatus = shown(status)
	body := q.page(status)
	h := http.Header{}
	if location != "" {
		h.Set("Location", location)
	}
	if body != "" {
		h.Set("Content-Type", "text/html")
	}
	return q.send(q.errStatus, h, body)
}

// shown is the status that a client sees.
func shown(status int) int {
	if status == statusHeadTooLarge {
		return http.StatusBadRequest
	}
	return status
}

// errorPage is one status of an error_page line.
type errorPage struct {
	status    int
	overwrite int // -1: the status stays; 0: that of the page's answer
	to        *text
}

func (q *request) errorPage(p errorPage) step {
	if p.overwrite >= 0 {
		q.errStatus = p.overwrite
	}
	to := p.to.of(q)
	switch {
	case strings.HasPrefix(to, "/"):
		if q.method != http.MethodHead {
			q.method = http.MethodGet
		}
		q.bodiless = true
		return q.internalRedirect(to)
	case strings.HasPrefix(to, "@"):
		l := q.server.named[to[1:]]
		if l == nil {
			return q.special(http.StatusInternalServerError, "")
		}
		q.internal = true
		q.enter(l)
		return q.changed(fromLocation)
	}
	status := p.overwrite
	if !isRedirect(status) {
		status = http.StatusFound
	}
	return q.special(status, to)
}

// redirect answers with a place to go.
func (q *request) redirect(status int, to string) step {
	return q.special(status, q.absolute(to))
}

// absolute completes a path by the name and port that the client used.
func (q *request) absolute(to string) string {
	if !strings.HasPrefix(to, "/") || !q.settings.absoluteRedirect {
		return to
	}
	host := q.hostName()
	if q.settings.serverNameInRedirect {
		host = q.server.name
	}
	p := q.local.Port()
	if q.settings.portInRedirect && p != 0 && (q.r.TLS == nil && p != 80 || q.r.TLS != nil && p != 443) {
		host += ":" + strconv.Itoa(int(p))
	}
	return q.scheme() + "://" + host + to
}

// text answers with words of the file.
func (q *request) text(status int, body string) step {
	h := http.Header{}
	if t := q.contentType(); t != "" {
		h.Set("Content-Type", t)
	}
	return q.send(status, h, body)
}

// send answers from memory.
func (q *request) send(status int, h http.Header, body string) step {
	if q.errStatus > 0 {
		status = q.errStatus
	}
	q.finish(status, h, int64(len(body)))
	to := q.w.Header()
	for k, v := range h {
		to[k] = v
	}
	switch {
	case status == http.StatusNoContent, status == http.StatusNotModified:
		delete(to, "Content-Type")
	case q.w.packed == nil:
		to.Set("Content-Length", strconv.Itoa(len(body)))
	}
	if len(to["Content-Type"]) == 0 {
		to["Content-Type"] = nil // net/http would guess
	}
	q.w.WriteHeader(status)
	if q.r.Method != http.MethodHead && status != http.StatusNoContent && status != http.StatusNotModified {
		_, _ = q.w.Write([]byte(body)) // a client that has left
	}
	return finished
}

// finish gives an answer what nginx adds to every one.
func (q *request) finish(status int, h http.Header, length int64) {
	q.status, q.sent = status, h
	if q.settings.keepalive == 0 {
		q.w.close() // no location was chosen that would have said so
	}
	if len(h["Server"]) == 0 {
		h.Set("Server", q.signature())
	}
	if q.packs(status, h, length) {
		q.w.pack(q.settings.gzip.level)
	}
	for _, a := range q.settings.addHeaders {
		if !a.always && !addsHeaders(status) {
			continue
		}
		if v := a.value.of(q); v != "" {
			h.Add(a.name, v)
		}
	}
}

// addsHeaders are the statuses that add_header without `always` acts on.
func addsHeaders(status int) bool {
	switch status {
	case 200, 201, 204, 206, 301, 302, 303, 304, 307, 308:
		return true
	}
	return false
}
