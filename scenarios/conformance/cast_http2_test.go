package conformance

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// serveGRPC is an upstream that speaks HTTP/2 in cleartext alone, as a gRPC
// server does.
func serveGRPC(_ *server, ln net.Listener) func() {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return serveHTTP(ln, p, grpcAnswer)
}

// serveBoth is an upstream of HTTP/1.1 and HTTP/2, that tells what it was
// asked.
func serveBoth(_ *server, ln net.Listener) func() {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	return serveHTTP(ln, p, bothAnswer)
}

func serveHTTP(ln net.Listener, p *http.Protocols, h http.HandlerFunc) func() {
	s := &http.Server{Protocols: p, Handler: h}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(ln) }() // ends by Close
	return func() {
		_ = s.Close()
		<-done
	}
}

// grpcAnswer does what the path's last word says.
func grpcAnswer(w http.ResponseWriter, r *http.Request) {
	rc := http.NewResponseController(w)
	h := w.Header()
	h.Set("Content-Type", "application/grpc")
	h.Set("X-Saw", fmt.Sprintf("%s %s host=%s te=%s agent=%s x-a=%q x-real-ip=%q", r.Method, r.RequestURI, r.Host, r.Header.Get("Te"), r.Header.Get("User-Agent"), r.Header["X-A"], r.Header["X-Real-Ip"]))
	switch r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:] {
	case "Unary":
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			return
		}
		fmt.Fprintf(w, "%d bytes", n)
		h.Set(http.TrailerPrefix+"Grpc-Status", "0")
		h.Set(http.TrailerPrefix+"Grpc-Message", "fine")
	case "Fails":
		fmt.Fprint(w, "x")
		h.Set(http.TrailerPrefix+"Grpc-Status", "7")
		h.Set(http.TrailerPrefix+"Grpc-Message", "not you")
	case "TrailersOnly":
		h.Set("Grpc-Status", "5")
		w.WriteHeader(http.StatusOK)
	case "NotFound":
		w.WriteHeader(http.StatusNotFound)
	case "Silent":
		<-r.Context().Done()
	case "Endless":
		for err := error(nil); err == nil; {
			_, err = w.Write(make([]byte, 32<<10))
		}
	case "HeadThenSilent":
		_ = rc.Flush()
		<-r.Context().Done()
	case "Reset":
		_, _ = io.WriteString(w, "part")
		_ = rc.Flush()
		panic(http.ErrAbortHandler)
	case "ResetAtOnce":
		panic(http.ErrAbortHandler)
	default: // Echo
		_ = rc.EnableFullDuplex()
		_ = rc.Flush()
		b := make([]byte, 32<<10)
		for {
			n, err := r.Body.Read(b)
			if _, err := w.Write(b[:n]); err != nil {
				return
			}
			_ = rc.Flush()
			if err != nil {
				break
			}
		}
		h.Set(http.TrailerPrefix+"Grpc-Status", "0")
	}
}

// bothAnswer tells what it was asked.
func bothAnswer(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/silent") {
		<-r.Context().Done()
		return
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	h := w.Header()
	h.Set("X-Gone", "1")
	h.Set("Content-Type", "text/x-both")
	fmt.Fprintf(w, "%s %s %s\nHost: %s\n", r.Method, r.RequestURI, r.Proto, r.Host)
	for _, name := range []string{"X-Added", "X-Forwarded-For", "X-Forwarded-Proto", "User-Agent", "Te"} {
		if v := r.Header[name]; len(v) > 0 {
			fmt.Fprintf(w, "%s: %s\n", name, strings.Join(v, " | "))
		}
	}
	if len(b) > 0 {
		fmt.Fprintf(w, "%d bytes\n", len(b))
	}
}
