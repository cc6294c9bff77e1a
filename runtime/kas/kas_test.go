package kas

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/testing/protocmp"

	"kasgen/internal/kasrpc/grpctool"
	"kasgen/internal/kasrpc/kubeapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRequestReachesTheAgent(t *testing.T) {
	t.Parallel()
	k := start(t, "null", nil)
	heads := make(chan *grpctool.HttpRequest, 1)
	bodies := make(chan string, 1)
	fakeAgent(t, k.agents, func(c *call) {
		head, err := c.next()
		if err != nil {
			return
		}
		heads <- head
		var body strings.Builder
		for {
			m, err := c.next()
			if err != nil || m == nil {
				break
			}
			body.Write(m.GetData().GetData())
		}
		bodies <- body.String()
		c.answer(201, "made")
	})
	sent := strings.Repeat("0123456789", 30_000)
	req, err := http.NewRequest("POST", "http://"+k.api+"/k8s-proxy/api/v1/x?b=2&a=1&a=0", strings.NewReader(sent))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = http.Header{"Authorization": {bearer}, "Cookie": {"c=d"}, "X-Csrf-Token": {"t"}, "Keep-Alive": {"x"}, "X-Own": {"mine"},
		"Connection": {"X-Hop"}, "X-Hop": {"h"}, "User-Agent": {"me"}, "Accept-Encoding": {"identity"}}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	defer resp.Body.Close()
	if got, _ := io.ReadAll(resp.Body); resp.StatusCode != 201 || string(got) != "made" {
		t.Errorf("answer %d %q", resp.StatusCode, got)
	}
	if got := <-bodies; got != sent {
		t.Errorf("%d bytes of body arrived, want %d", len(got), len(sent))
	}
	head := (<-heads).GetHeader()
	got := map[string]string{"method": head.GetRequest().GetMethod(), "path": head.GetRequest().GetUrlPath(), "length": fmt.Sprint(head.GetContentLength())}
	for k, v := range head.GetRequest().GetHeader() {
		got[k] = strings.Join(v.GetValue(), "|")
	}
	for k, v := range head.GetRequest().GetQuery() {
		got["?"+k] = strings.Join(v.GetValue(), "|")
	}
	want := map[string]string{"method": "POST", "path": "/api/v1/x", "length": "300000", "?a": "1|0", "?b": "2", "X-Own": "mine", "User-Agent": "me",
		"Accept-Encoding": "identity", "Content-Length": "300000", "Via": "gRPC/1.0 gitlab-kas/kasgen-test"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what the agent got (-want +got):\n%s", diff)
	}
	if head.GetExtra() != nil {
		t.Errorf("impersonation without being asked: %v", head.GetExtra())
	}
}

func TestImpersonation(t *testing.T) {
	t.Parallel()
	for access, want := range map[string]*kubeapi.ImpersonationConfig{
		`{"agent": {}}`: nil,
		`{"ci_job": {}}`: {Username: "gitlab:ci_job:11", Groups: []string{"gitlab:ci_job", "gitlab:group:14", "gitlab:project:13"},
			Extra: []*kubeapi.ExtraKeyVal{
				{Key: "agent.gitlab.com/id", Val: []string{"7"}}, {Key: "agent.gitlab.com/config_project_id", Val: []string{"3"}},
				{Key: "agent.gitlab.com/project_id", Val: []string{"13"}}, {Key: "agent.gitlab.com/ci_pipeline_id", Val: []string{"12"}},
				{Key: "agent.gitlab.com/ci_job_id", Val: []string{"11"}}, {Key: "agent.gitlab.com/username", Val: []string{"u"}}}},
		`{"impersonate": {"username": "x", "groups": ["g"], "uid": "1", "extra": [{"key": "k", "val": ["v"]}]}}`: {Username: "x", Groups: []string{"g"}, Uid: "1",
			Extra: []*kubeapi.ExtraKeyVal{{Key: "k", Val: []string{"v"}}}},
	} {
		t.Run(access, func(t *testing.T) {
			t.Parallel()
			k := start(t, access, nil)
			heads := make(chan *grpctool.HttpRequest_Header, 1)
			fakeAgent(t, k.agents, func(c *call) {
				if m, err := c.next(); err == nil {
					heads <- m.GetHeader()
					c.answer(200, "")
				}
			})
			request(t, k, "GET", "/k8s-proxy/version", bearer, nil)
			head := <-heads
			var got *kubeapi.ImpersonationConfig
			if head.GetExtra() != nil {
				var extra kubeapi.HeaderExtra
				if err := head.GetExtra().UnmarshalTo(&extra); err != nil {
					t.Fatal(err)
				}
				got = extra.GetImpConfig()
			}
			if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	k := start(t, "null", nil)
	const get = "GET /k8s-proxy/x HTTP/1.1\r\nHost: h\r\n"
	for _, tt := range []struct {
		name, send string
		code       int
		message    string
	}{
		{"no token", get, 401, "Unauthorized: the request has no credentials: neither an Authorization header nor the cookie _gitlab_kas"},
		{"two tokens", get + "Authorization: Bearer ci:7:a\r\nAuthorization: Bearer ci:7:b\r\n", 401, "Unauthorized: the request has more than one Authorization header"},
		{"basic", get + "Authorization: Basic eDp5\r\n", 401, "Unauthorized: the Authorization header is not of the form Bearer TOKEN"},
		{"wrong form", get + "Authorization: Bearer ci:7\r\n", 401, "Unauthorized: the token is not of the form ci:AGENT_ID:TOKEN"},
		{"wrong kind", get + "Authorization: Bearer xx:7:y\r\n", 401, "Unauthorized: the token is neither of the form ci:AGENT_ID:CI_JOB_TOKEN nor pat:AGENT_ID:PERSONAL_ACCESS_TOKEN"},
		{"agent id", get + "Authorization: Bearer ci:x:y\r\n", 401, "Unauthorized: the agent id in the token is not a positive whole number"},
		{"unknown token", get + "Authorization: Bearer ci:7:other\r\n", 401, "Unauthorized: GitLab does not accept this CI job token; is the job still running?"},
		{"forbidden token", get + "Authorization: Bearer ci:7:forbidden\r\n", 403, "Forbidden: GitLab forbids this CI job token"},
		{"GitLab fails", get + "Authorization: Bearer ci:7:broken\r\n", 500, "GitLab could not be asked which agents this CI job may use"},
		{"wrong agent", get + "Authorization: Bearer ci:9:" + jobToken + "\r\n", 403, "Forbidden: this CI job may not use this agent; add the job's project under ci_access in the agent's configuration"},
		{"agent offline", get + "Authorization: Bearer ci:8:" + jobToken + "\r\n", 502, "agent connection not found: is the agent connected, and is its version current?"},
		{"outside the prefix", "GET /other HTTP/1.1\r\nHost: h\r\n", 400, "the path does not begin with /k8s-proxy/"},
		{"h2c", get + "Connection: upgrade\r\nUpgrade: h2c\r\n", 400, "an upgrade to h2c is not possible here, only to websocket and SPDY/3.1"},
		{"upgrade without connection", get + "Upgrade: SPDY/3.1\r\n", 400, "the request has Upgrade: SPDY/3.1 without Connection: upgrade; a proxy on the way may have removed it"},
		{"CONNECT", "CONNECT /k8s-proxy/x HTTP/1.1\r\nHost: h\r\n", 405, "CONNECT is not served here"},
		{"a folded header", get + "X-A: b\r\n c\r\n", 400, "a header line begins with a space: folded headers are not accepted (RFC 9112, section 5.2)"},
		{"exec without an upgrade", "GET /k8s-proxy/api/v1/namespaces/n/pods/p/exec HTTP/1.1\r\nHost: h\r\n", 400, adviceForGET},
		{"upgrade with a body", "POST /k8s-proxy/x HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: SPDY/3.1\r\nContent-Length: 2\r\n", 400, "a request to upgrade the connection cannot have a body"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, r := dialAPI(t, k)
			io.WriteString(c, tt.send+"\r\n")
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			var got struct {
				Kind, APIVersion, Status, Message string
				Code                              int
			}
			if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
				t.Fatal(err)
			}
			want := got
			want.Kind, want.APIVersion, want.Status, want.Code, want.Message = "Status", "v1", "Failure", tt.code, "kas: "+tt.message
			if diff := cmp.Diff(want, got); diff != "" || resp.StatusCode != tt.code {
				t.Errorf("status %d (-want +got):\n%s", resp.StatusCode, diff)
			}
			if unauthorized := resp.Header.Get("Gitlab-Unauthorized") == "true"; unauthorized != (tt.code == 401) {
				t.Errorf("Gitlab-Unauthorized: %t with %d", unauthorized, tt.code)
			}
		})
	}
}

const adviceForGET = "exec needs an upgraded connection, and the request asks for none. If kubectl has sent it, a load balancer or proxy on the way has taken the headers Upgrade and Connection away: let it pass both over HTTP/1.1, or put a TCP load balancer in its place. Use kubectl 1.31 or later, which speaks WebSocket by default. The cluster may be too old, too: over WebSocket, kubectl exec needs a cluster of Kubernetes 1.30 or later and port-forward one of 1.31; with an older one kubectl falls back to SPDY"

func dialAPI(t testing.TB, k kasOn) (*net.TCPConn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", k.api)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(15 * time.Second))
	return c.(*net.TCPConn), bufio.NewReader(c)
}

func upgradeRequest() string {
	return "POST /k8s-proxy/exec HTTP/1.1\r\nHost: h\r\nAuthorization: " + bearer + "\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\nContent-Length: 0\r\n\r\n"
}

var switched = map[string]string{"Upgrade": "SPDY/3.1", "Connection": "Upgrade"}

// echo answers an upgrade and returns every byte, until kas half-closes; then
// it waits for the end of the stream and counts it.
func echo(t testing.TB, ended *atomic.Int32) func(*call) {
	return func(c *call) {
		head, err := c.next()
		if err != nil {
			return
		}
		if up := head.GetHeader().GetRequest().GetHeader()["Upgrade"].GetValue(); len(up) != 1 || up[0] != "SPDY/3.1" || head.GetHeader().GetContentLength() != 0 {
			t.Errorf("the agent saw Upgrade %v and length %d", up, head.GetHeader().GetContentLength())
		}
		if m, err := c.next(); err != nil || m.GetTrailer() == nil {
			t.Errorf("after the head came %v, %v; want the trailer", m, err)
		}
		c.head(101, switched)
		c.trailer()
		for {
			m, err := c.next()
			if err != nil {
				ended.Add(1)
				return
			}
			if m == nil {
				c.upgraded("half-closed;")
				continue
			}
			c.upgraded(string(m.GetUpgradeData().GetData()))
		}
	}
}

func TestUpgrade(t *testing.T) {
	t.Parallel()
	k := start(t, "null", nil)
	var ended atomic.Int32
	fakeAgent(t, k.agents, echo(t, &ended))
	c, r := dialAPI(t, k)
	io.WriteString(c, upgradeRequest()+"before;") // early bytes
	resp, err := http.ReadResponse(r, nil)
	if err != nil || resp.StatusCode != 101 || resp.Header.Get("Upgrade") != "SPDY/3.1" {
		t.Fatalf("%v, %v", resp, err)
	}
	io.WriteString(c, "after;")
	want := "before;after;"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r, got); err != nil || string(got) != want {
		t.Fatalf("got %q, %v", got, err)
	}
	// More than one buffer, through the idle and the busy way.
	big := bytes.Repeat([]byte("0123456789abcdef"), 40_000)
	go c.Write(big)
	back := make([]byte, len(big))
	if _, err := io.ReadFull(r, back); err != nil || !bytes.Equal(back, big) {
		t.Fatalf("%d bytes did not come back as they went: %v", len(big), err)
	}
	time.Sleep(600 * time.Millisecond) // past the busy time: the stream is idle again
	io.WriteString(c, "idle;")
	if _, err := io.ReadFull(r, got[:5]); err != nil || string(got[:5]) != "idle;" {
		t.Fatalf("after a pause got %q, %v", got[:5], err)
	}
	// The end of the client's direction is passed on; the other lives on.
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	rest := make([]byte, len("half-closed;"))
	if _, err := io.ReadFull(r, rest); err != nil || string(rest) != "half-closed;" {
		t.Errorf("after half-closing got %q, %v", rest, err)
	}
}

// TestSlowClientGetsEverything: the cluster ends a stream while megabytes are on
// their way to a client that reads late and goes on sending.
func TestSlowClientGetsEverything(t *testing.T) {
	t.Parallel()
	k := start(t, "null", nil)
	const chunks, size = 400, 32 << 10
	sent := make(chan struct{})
	fakeAgent(t, k.agents, func(c *call) {
		c.next()
		c.next()
		c.head(101, switched)
		c.trailer()
		for range chunks {
			c.upgraded(strings.Repeat("x", size))
		}
		c.end()
		close(sent)
	})
	c, r := dialAPI(t, k)
	io.WriteString(c, upgradeRequest())
	if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != 101 {
		t.Fatalf("%v, %v", resp, err)
	}
	got := 0
	for buf := make([]byte, size); ; {
		n, err := r.Read(buf)
		got += n
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("after %d bytes of %d: %v", got, chunks*size, err)
		}
		io.WriteString(c, "ping") // nobody reads it, and it must do no harm
		if got > chunks*size*3/4 {
			<-sent
			time.Sleep(time.Millisecond) // the rest lies in buffers, and the cluster has gone
		}
	}
	if got != chunks*size {
		t.Errorf("%d bytes arrived of %d", got, chunks*size)
	}
}

func TestClientGoneEndsTheStream(t *testing.T) {
	t.Parallel()
	for how, leave := range map[string]func(*net.TCPConn){
		"closed": func(c *net.TCPConn) { c.Close() },
		"reset":  func(c *net.TCPConn) { c.SetLinger(0); c.Close() },
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			k := start(t, "null", nil)
			gone := make(chan struct{})
			var ended atomic.Int32
			fakeAgent(t, k.agents, func(c *call) {
				echo(t, &ended)(c)
				close(gone)
			})
			c, r := dialAPI(t, k)
			io.WriteString(c, upgradeRequest())
			if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != 101 {
				t.Fatalf("%v, %v", resp, err)
			}
			leave(c)
			select {
			case <-gone:
			case <-time.After(5 * time.Second):
				t.Error("five seconds later the agent's stream is still open")
			}
		})
	}
}

func TestClientGoneEndsAWatch(t *testing.T) {
	t.Parallel()
	k := start(t, "null", nil)
	gone := make(chan struct{})
	fakeAgent(t, k.agents, func(c *call) {
		for m, err := c.next(); err == nil && m != nil; m, err = c.next() {
		}
		c.head(200, nil)
		c.data("first\n")
		for {
			if _, err := c.stream.Recv(); err != nil {
				close(gone)
				return
			}
		}
	})
	c, r := dialAPI(t, k)
	io.WriteString(c, "GET /k8s-proxy/watch HTTP/1.1\r\nHost: h\r\nAuthorization: "+bearer+"\r\n\r\n")
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 6)
	if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != "first\n" {
		t.Fatalf("the first event did not come while the watch is open: %q, %v", first, err)
	}
	c.Close()
	select {
	case <-gone:
	case <-time.After(5 * time.Second):
		t.Error("five seconds later the agent's stream is still open")
	}
}

// TestAgentFaults: what an agent does wrong is a 502 with a reason, or the end
// of an answer that has begun.
func TestAgentFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		handle func(*call)
		code   int
		want   string // in the body
	}{
		{"no answer", func(c *call) { c.stream.CloseSend() }, 502, "without an answer"},
		{"its own error", func(c *call) { c.send(agentError(14, "the cluster is away")) }, 502, "the cluster is away"},
		{"data before the head", func(c *call) {
			c.send(tunnelHeader())
			c.data("x")
		}, 502, "wrong order"},
		{"head before the tunnel's", func(c *call) { c.message(responseHead(200)) }, 502, "wrong order"},
		{"a status that is none", func(c *call) { c.answer(42, "") }, 502, "status 42"},
		{"no trailer", func(c *call) { c.head(200, nil); c.data("x"); c.end() }, 200, "x cut: "},
		{"error after the head", func(c *call) {
			c.head(200, nil)
			c.data("x")
			c.trailer()
			c.send(tunnelTrailer())
			c.send(agentError(13, "late"))
		}, 200, "x cut: "},
		{"two heads", func(c *call) { c.head(200, nil); c.message(responseHead(200)) }, 200, " cut: "},
		{"101 unasked", func(c *call) { c.head(101, switched); c.trailer(); c.end() }, 502, "status 101"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			k := start(t, "null", nil)
			fakeAgent(t, k.agents, func(c *call) {
				for m, err := c.next(); err == nil && m != nil; m, err = c.next() {
				}
				tt.handle(c)
			})
			resp, body := request(t, k, "GET", "/k8s-proxy/x", bearer, nil)
			if resp.StatusCode != tt.code || !strings.Contains(body, tt.want) {
				t.Errorf("%d %q, want %d and %q", resp.StatusCode, body, tt.code, tt.want)
			}
		})
	}
}

func TestAgentDiesMidStream(t *testing.T) {
	t.Parallel()
	k := start(t, "null", nil)
	began := make(chan struct{})
	stop := fakeAgent(t, k.agents, func(c *call) {
		for m, err := c.next(); err == nil && m.GetTrailer() == nil; m, err = c.next() {
		}
		c.head(101, switched)
		c.trailer()
		c.upgraded("x")
		close(began)
		c.next()
	})
	c, r := dialAPI(t, k)
	io.WriteString(c, upgradeRequest())
	if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != 101 {
		t.Fatalf("%v, %v", resp, err)
	}
	<-began
	stop()
	if got, err := io.ReadAll(r); string(got) != "x" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestUpgradeRefusedByTheCluster(t *testing.T) {
	t.Parallel()
	k := start(t, "null", nil)
	fakeAgent(t, k.agents, func(c *call) {
		c.next()
		c.next()
		c.answer(403, "not you")
	})
	c, r := dialAPI(t, k)
	io.WriteString(c, upgradeRequest())
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != 403 || string(body) != "not you" {
		t.Errorf("%d %q", resp.StatusCode, body)
	}
	if _, err := r.ReadByte(); err != io.EOF {
		t.Errorf("the connection lives on after an upgrade that was refused: %v", err)
	}
}

func TestCORS(t *testing.T) {
	t.Parallel()
	k := start(t, "null", nil)
	for origin, want := range map[string]int{"https://gitlab.example.com": 200, "https://evil.example.com": 403} {
		req, err := http.NewRequest("OPTIONS", "http://"+k.api+"/k8s-proxy/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Origin", origin)
		tr := &http.Transport{DisableKeepAlives: true}
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		allowed := resp.Header.Get("Access-Control-Allow-Origin")
		if resp.StatusCode != want || (allowed == origin) != (want == 200) {
			t.Errorf("%s: %d, allowed %q", origin, resp.StatusCode, allowed)
		}
	}
}

func TestObservability(t *testing.T) {
	t.Parallel()
	k := start(t, "null", nil)
	request(t, k, "GET", "/k8s-proxy/x", "", nil)
	k.api = k.observe
	for path, want := range map[string]string{"/liveness": "", "/readiness": "", "/metrics": `k8s_api_proxy_requests_total{code="401"} 1`} {
		if resp, body := request(t, k, "GET", path, "", nil); resp.StatusCode != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %q", path, resp.StatusCode, body)
		}
	}
}

// TestDrain: an upgraded stream is given the time that the file says, then it
// ends; new connections are refused at once.
func TestDrain(t *testing.T) {
	t.Parallel()
	k := start(t, "null", nil)
	var ended atomic.Int32
	stop := fakeAgent(t, k.agents, echo(t, &ended))
	defer stop()
	c, r := dialAPI(t, k)
	io.WriteString(c, upgradeRequest())
	if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != 101 {
		t.Fatalf("%v, %v", resp, err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- k.stop() }()
	for {
		n, err := net.Dial("tcp", k.api)
		if err != nil {
			break
		}
		n.Close()
	}
	io.WriteString(c, "still;")
	got := make([]byte, 6)
	if _, err := io.ReadFull(r, got); err != nil || string(got) != "still;" {
		t.Fatalf("while draining: %q, %v", got, err)
	}
	if _, err := io.ReadAll(r); err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("the stream was not ended: %v", err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}
