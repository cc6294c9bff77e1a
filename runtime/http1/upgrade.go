package http1

import (
	"fmt"
	"net/http"
	"strings"
)

// Upgrade is the one protocol that r asks to switch to, "" if none. It is an
// error when the request asks for several, or names one without saying
// `Connection: upgrade` (or the other way round): a proxy on the way has then
// taken half of the request away.
func Upgrade(r *http.Request) (string, error) {
	tokens := r.Header.Values("Upgrade")
	connection := hasToken(r.Header.Values("Connection"), "upgrade")
	switch {
	case len(tokens) == 0 && !connection:
		return "", nil
	case len(tokens) == 0:
		return "", fmt.Errorf("the request has Connection: upgrade without an Upgrade header; a proxy on the way may have removed it")
	case !connection:
		return "", fmt.Errorf("the request has Upgrade: %s without Connection: upgrade; a proxy on the way may have removed it", tokens[0])
	case len(tokens) > 1 || strings.Contains(tokens[0], ","):
		return "", fmt.Errorf("the request asks for more than one upgrade: %s", strings.Join(tokens, ", "))
	}
	return strings.TrimSpace(tokens[0]), nil
}

// hasToken looks for a token in comma-separated header values.
func hasToken(values []string, token string) bool {
	for _, v := range values {
		for t := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(t), token) {
				return true
			}
		}
	}
	return false
}

// Tokens that may be upgraded to. Others are refused by whoever routes by
// path: h2c in particular would let a client past the routes (golang/go#80416).
const (
	WebSocket = "websocket"
	SPDY      = "SPDY/3.1"
)

// CloseAfterUpgrade makes the server close a connection whose request named
// an upgrade and got an ordinary answer: the guard stopped reading heads on it.
func CloseAfterUpgrade(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.Header["Upgrade"]) > 0 {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}
