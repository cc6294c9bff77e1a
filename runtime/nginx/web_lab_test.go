package nginx

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"kasgen/runtime/balancer/balancertest"
)

// origin is an upstream that answers with what it got: the request line, the
// header in order of names, and the body's size. Some paths answer otherwise.
func origin(t testing.TB) string {
	t.Helper()
	return serveRaw(t, func(c net.Conn, r *bufio.Reader) {
		line, header, body, err := readRequest(r)
		if err != nil {
			return
		}
		said := strings.Builder{}
		fmt.Fprintf(&said, "%s\n", line)
		var names []string
		for n := range header {
			names = append(names, n)
		}
		sort.Strings(names)
		for _, n := range names {
			fmt.Fprintf(&said, "%s: %s\n", n, strings.Join(header[n], " | "))
		}
		fmt.Fprintf(&said, "body %d %.4x\n", len(body), sha256.Sum256(body))
		answerRaw(c, r, line, header, said.String())
	})
}

// answerRaw is the answer by the path's words.
func answerRaw(c net.Conn, r *bufio.Reader, line string, header textproto.MIMEHeader, said string) {
	has := func(word string) bool { return strings.Contains(line, word) }
	status, more := "200 OK", ""
	switch {
	case has("upgrade") && header.Get("Upgrade") != "":
		fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\nX-Origin: up\r\n\r\nhello ", header.Get("Upgrade"))
		io.Copy(c, r)
		return
	case has("status="):
		_, rest, _ := strings.Cut(line, "status=")
		status = rest[:3] + " Whatever"
	case has("moved"):
		status, more = "302 Found", "Location: http://"+header.Get("Host")+"/there\r\n"
	}
	if strings.HasPrefix(line, "HEAD ") || strings.HasPrefix(status, "204") || strings.HasPrefix(status, "304") {
		fmt.Fprintf(c, "HTTP/1.1 %s\r\n%s\r\n", status, more)
		return
	}
	fmt.Fprintf(c, "HTTP/1.1 %s\r\nContent-Type: text/x-origin\r\n%sContent-Length: %d\r\n\r\n%s", status, more, len(said), said)
}

// readRequest reads one request by the letter.
func readRequest(r *bufio.Reader) (line string, header textproto.MIMEHeader, body []byte, err error) {
	tp := textproto.NewReader(r)
	if line, err = tp.ReadLine(); err != nil {
		return
	}
	if header, err = tp.ReadMIMEHeader(); err != nil {
		return
	}
	switch {
	case header.Get("Transfer-Encoding") == "chunked":
		req, err := http.ReadRequest(bufio.NewReader(io.MultiReader(strings.NewReader("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"), r)))
		if err != nil {
			return "", nil, nil, err
		}
		body, err = io.ReadAll(req.Body)
		return line, header, body, err
	case header.Get("Content-Length") != "":
		n, err := strconv.Atoi(header.Get("Content-Length"))
		if err != nil {
			return "", nil, nil, err
		}
		body = make([]byte, n)
		_, err = io.ReadFull(r, body)
		return line, header, body, err
	}
	return
}

// serveRaw serves one request a connection until the test ends.
func serveRaw(t testing.TB, serve func(net.Conn, *bufio.Reader)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	var mu sync.Mutex
	conns := map[net.Conn]bool{}
	work.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns[c] = true
			mu.Unlock()
			work.Go(func() {
				defer c.Close()
				serve(c, bufio.NewReader(c))
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for c := range conns {
			c.Close()
		}
		mu.Unlock()
		work.Wait()
	})
	return l.Addr().String()
}

// engine runs a file; it tells where an address of it listens.
type engine func(t testing.TB, text string) func(bind string) string

// web is a file around http{}, whose BINDn and ORIGIN are replaced.
type web struct {
	text  string            // of the file, or its name, as the engine wants it
	binds map[string]string // by their placeholder
}

func newWeb(t testing.TB, http string, replace ...string) *web {
	t.Helper()
	w := &web{binds: map[string]string{}}
	for i := 9; i >= 0; i-- {
		name := fmt.Sprintf("BIND%d", i)
		if strings.Contains(http, name) {
			w.binds[name] = balancertest.FreePort(t)
			replace = append(replace, name, w.binds[name])
		}
	}
	body := strings.NewReplacer(replace...).Replace(http)
	w.text = "worker_processes 1;\nworker_shutdown_timeout 1s;\nevents {}\nhttp {\naccess_log off;\nclient_body_temp_path " + t.TempDir() + ";\nproxy_temp_path " + t.TempDir() + ";\n" + body + "\n}\n"
	return w
}

// running is a web on an engine.
type running struct {
	*web
	addresses map[string]string // by placeholder
}

func (w *web) run(t testing.TB, e engine) *running {
	t.Helper()
	r := &running{web: w, addresses: map[string]string{}}
	at := e(t, w.text)
	for name, bind := range w.binds {
		r.addresses[name] = at(bind)
	}
	return r
}

// address is where a placeholder listens.
func (r *running) address(bind string) string { return r.addresses[bind] }

// neutral takes out of an answer what differs by chance.
func (r *running) neutral(s string) string {
	for name, a := range r.addresses {
		host, port, _ := net.SplitHostPort(a)
		s = strings.NewReplacer(a, name, ":"+port, ":"+name, "port="+port, "port="+name, "addr="+host, "addr="+name).Replace(s)
	}
	return s
}

// send sends bytes and returns the answers in words.
func (r *running) send(t testing.TB, bind, raw string) string {
	t.Helper()
	c, err := net.Dial("tcp", r.address(bind))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return r.neutral(exchange(t, c, raw))
}

// exchange writes raw and reads answers until the end, or until the answers to
// all requests have come.
func exchange(t testing.TB, c net.Conn, raw string) string {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(8 * time.Second))
	written := make(chan struct{})
	go func() { defer close(written); io.WriteString(c, raw) }()
	defer func() { c.Close(); <-written }()
	var out strings.Builder
	method, _, _ := strings.Cut(raw, " ")
	br := bufio.NewReader(c)
	for range 1 + strings.Count(raw, "\r\n\r\nGET ") {
		resp, err := http.ReadResponse(br, &http.Request{Method: method})
		if err != nil {
			fmt.Fprintf(&out, "closed\n")
			return out.String()
		}
		out.WriteString(words(resp))
	}
	return out.String()
}

// words is a response as a test compares it.
func words(resp *http.Response) string {
	var out strings.Builder
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if resp.Header.Get("Content-Encoding") == "gzip" && len(body) > 0 {
		// Two programs compress differently.
		if z, zerr := gzip.NewReader(bytes.NewReader(body)); zerr == nil {
			body, err = io.ReadAll(z)
		}
	}
	fmt.Fprintf(&out, "%d\n", resp.StatusCode)
	var lines []string
	for name, values := range resp.Header {
		switch name {
		case "Content-Length":
			if resp.Header.Get("Content-Encoding") == "gzip" {
				continue // net/http counts what is short
			}
		case "Date", "Keep-Alive", "Last-Modified", "Etag", "Accept-Ranges":
			if name == "Etag" && values[0] == `"x"` {
				break
			}
			continue
		case "Connection":
			if !strings.EqualFold(values[0], "close") {
				continue
			}
		}
		lines = append(lines, name+": "+strings.Join(values, " | "))
	}
	if resp.Close && resp.ProtoMajor == 1 {
		lines = append(lines, "(closes)")
	}
	sort.Strings(lines)
	if err != nil && resp.ProtoMajor == 2 {
		body = nil // what comes before a reset is left to chance
	}
	fmt.Fprintf(&out, "%s\n\n%s", strings.Join(lines, "\n"), body)
	if err != nil {
		fmt.Fprintf(&out, "\n(cut)")
	}
	var trailers []string
	for name, values := range resp.Trailer {
		trailers = append(trailers, fmt.Sprintf("\ntrailer %s: %s", name, strings.Join(values, " | ")))
	}
	out.WriteString(sorted(trailers))
	return out.String() + "\n"
}

// over is a client of HTTPS with a name of its own choice.
func over(roots *x509.CertPool, address, name string, two bool) *http.Client {
	p := new(http.Protocols)
	p.SetHTTP1(!two)
	p.SetHTTP2(two)
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       8 * time.Second,
		Transport: &http.Transport{
			Protocols: p, TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: name}, DisableKeepAlives: true, DisableCompression: true,
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, network, address)
			},
		},
	}
}

// big is a body of n bytes.
func big(n int) io.Reader { return bytes.NewReader(bytes.Repeat([]byte("x"), n)) }

// chmodUp lets nginx's worker, which is nobody, through to a directory.
func chmodUp(t testing.TB, dir string) {
	t.Helper()
	for d := dir; strings.HasPrefix(d, os.TempDir()) && d != os.TempDir(); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func pemDir(pem string) string { return filepath.Dir(pem) }

func sorted(lines []string) string {
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

// get is a plain request.
func get(target string, header ...string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: a.example.com\r\n" + lines(header) + "Connection: close\r\n\r\n"
}

func lines(header []string) string {
	if len(header) == 0 {
		return ""
	}
	return strings.Join(header, "\r\n") + "\r\n"
}

// pems are certificates by the name that they are for, and who trusts them.
func pems(t testing.TB, n int) (replace []string, roots []*x509.CertPool) {
	t.Helper()
	for i := range n {
		pem, pool := balancertest.CombinedPEM(t)
		chmodUp(t, pemDir(pem))
		replace, roots = append(replace, fmt.Sprintf("PEM%d", i), pem), append(roots, pool)
	}
	return replace, roots
}

// h2c is a client of HTTP/2 in cleartext.
func h2c(address string) *http.Client {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return &http.Client{Timeout: 8 * time.Second, Transport: &http.Transport{
		Protocols: p, DisableCompression: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, address)
		},
	}}
}
