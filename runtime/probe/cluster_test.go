package probe

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/moby/spdystream/spdy"
)

// clusterHandler is the Kubernetes API behind a proxy that asks for
// credentials before it looks at anything else: as much of it as a probe asks
// for.
func clusterHandler(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+token {
		status(w, http.StatusUnauthorized, "Unauthorized")
		return
	}
	path, ok := strings.CutPrefix(r.URL.Path, "/k8s-proxy")
	switch {
	case !ok:
		status(w, http.StatusBadRequest, "Bad request: URL does not start with expected prefix")
	case path == "/version":
		fmt.Fprint(w, `{"gitVersion": "v1.31.0"}`)
	case strings.HasSuffix(path, "/pods") || path == "/api/v1/namespaces":
		watch(w, r)
	case strings.HasSuffix(path, "/selfsubjectaccessreviews"):
		if _, err := io.Copy(io.Discard, r.Body); err == nil {
			w.WriteHeader(http.StatusCreated)
			fmt.Fprint(w, `{"kind":"SelfSubjectAccessReview"}`)
		}
	case strings.HasSuffix(path, "/pods/shell/exec"):
		exec(w, r)
	default:
		status(w, http.StatusNotFound, `pods "x" not found`)
	}
}

func status(w http.ResponseWriter, code int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":%q,"code":%d}`, message, code)
}

// watch sends one event and stays open for as long as it is asked to.
func watch(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintln(w, `{"type":"ADDED","object":{}}`)
	if http.NewResponseController(w).Flush() != nil {
		return
	}
	var seconds int
	if _, err := fmt.Sscan(r.URL.Query().Get("timeoutSeconds"), &seconds); err != nil {
		return
	}
	select {
	case <-time.After(time.Duration(seconds) * time.Second):
	case <-r.Context().Done():
	}
}

// spdyCat answers pings, and gives standard input back.
func spdyCat(c io.ReadWriter) {
	f, err := spdy.NewFramer(c, c)
	if err != nil {
		return
	}
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return
		}
		switch frame := frame.(type) {
		case *spdy.PingFrame:
			err = f.WriteFrame(frame)
		case *spdy.DataFrame:
			err = f.WriteFrame(&spdy.DataFrame{StreamId: spdyStdout, Data: frame.Data})
		}
		if err != nil {
			return
		}
	}
}

// exec upgrades, answers pings of SPDY, and gives back what WebSockets send.
func exec(w http.ResponseWriter, r *http.Request) {
	up := r.Header.Get("Upgrade")
	if up == "" {
		status(w, http.StatusBadRequest, "Upgrade request required")
		return
	}
	c, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer c.Close()
	fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n", up)
	if up != "websocket" {
		fmt.Fprint(c, "\r\n")
		spdyCat(struct {
			io.Reader
			io.Writer
		}{rw, c})
		return
	}
	fmt.Fprint(c, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: v5.channel.k8s.io\r\n\r\n")
	if r.URL.Query().Get("command") == "true" {
		_, _ = c.Write([]byte("\x82\x02\x03{"))
		return
	}
	for {
		head := make([]byte, 6)
		if _, err := io.ReadFull(rw, head); err != nil {
			return
		}
		payload := make([]byte, head[1]&0x7f)
		if _, err := io.ReadFull(rw, payload); err != nil {
			return
		}
		if _, err := c.Write(append([]byte{0x82, byte(len(payload)), 1}, payload[1:]...)); err != nil {
			return
		}
	}
}
