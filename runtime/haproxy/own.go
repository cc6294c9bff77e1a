package haproxy

import (
	"fmt"
	"net/http"
)

// ownWords are HAProxy's own answers: what it calls a status, and says of it.
func ownWords() map[int][2]string {
	return map[int][2]string{
		200: {"OK", "Service ready."},
		400: {"Bad request", "Your browser sent an invalid request."},
		401: {"Unauthorized", "You need a valid user and password to access this content."},
		403: {"Forbidden", "Request forbidden by administrative rules."},
		404: {"Not Found", "The resource could not be found."},
		405: {"Method Not Allowed", "A request was made of a resource using a request method not supported by that resource"},
		407: {"Unauthorized", "You need a valid user and password to access this content."},
		408: {"Request Time-out", "Your browser didn't send a complete request in time."},
		410: {"Gone", "The resource is no longer available and will not be available again."},
		413: {"Payload Too Large", "The request entity exceeds the maximum allowed."},
		425: {"Too Early", "Your browser sent early data."},
		429: {"Too Many Requests", "You have sent too many requests in a given amount of time."},
		500: {"Internal Server Error", "An internal server error occurred."},
		501: {"Not Implemented", ".The server does not support the functionality required to fulfill the request."},
		502: {"Bad Gateway", "The server returned an invalid or incomplete response."},
		503: {"Service Unavailable", "No server is available to handle this request."},
		504: {"Gateway Time-out", "The server didn't respond in time."},
	}
}

// What the balancer's own answers say of themselves.
const (
	ownType  = "text/html"
	ownCache = "no-cache"
)

// answer is the balancer's own.
func (t *transaction) answer(status int) {
	t.status = status
	h := t.w.Header()
	h.Set("Content-Type", ownType)
	h.Set("Cache-Control", ownCache)
	t.w.WriteHeader(status)
	fmt.Fprint(t.w, ownBody(status))
}

func ownBody(status int) string {
	words := ownWords()[status]
	return fmt.Sprintf("<html><body><h1>%d %s</h1>\n%s\n</body></html>\n", status, words[0], words[1])
}

// ownAnswer is such an answer as it is on a connection that it ends, byte for
// byte HAProxy's.
func ownAnswer(status int) string {
	body := ownBody(status)
	return fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-length: %d\r\nCache-Control: %s\r\nConnection: close\r\nContent-Type: %s\r\n\r\n%s",
		status, ownWords()[status][0], len(body), ownCache, ownType, body)
}

// refused is the answer to a head that cannot be read, whatever is wrong.
func refused(int) string { return ownAnswer(http.StatusBadRequest) }
