package probe

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"encoding/xml"
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kasgen/internal/cli"
	"kasgen/runtime/balancer/balancertest"
)

// run calls the command as main does.
func run(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	streams := cli.IO{In: &bytes.Buffer{}, Out: &stdout, Err: &stderr}
	code = cli.Run(t.Context(), cli.Root(streams, Command(streams)), append([]string{"probe"}, args...))
	return code, stdout.String(), stderr.String()
}

// caFile is the lab's CA in a file.
func (l *lab) caFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "ca.pem")
	write(t, file, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: l.ca.cert.Raw})))
	return file
}

func TestCommand(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	good, _ := l.nginx(t, goodNginx)
	bad, bundle := l.nginx(t, edit(t, goodNginx, "        proxy_http_version 1.1;\n", ""))
	ca := l.caFile(t)
	token := filepath.Join(t.TempDir(), "token")
	write(t, token, "ci:7:secret-token\n")

	code, out, errs := run(t, "https://kas.example.com", "--connect-to", good, "--ca-file", ca)
	if code != cli.Done || errs != "" || !strings.Contains(out, "23 checks: 17 pass, 2 warn, 0 fail, 4 skip") {
		t.Errorf("%d %s %s", code, out, errs)
	}
	const works = "\nWORKS: https://kas.example.com, in 19 checks of 23, 2 of them with a warning; not tried: proxy-request, streaming, exec-websocket, exec-spdy (needs --token-file)\n"
	if !strings.HasSuffix(out, works) {
		t.Errorf("the last line is not %s%s", works, out)
	}
	code, out, _ = run(t, "wss://kas.example.com/", "--connect-to", "kas.example.com="+bad, "--ca-file", ca, "--bundle", bundle, "--skip", "agent-grpc,redirect", "--token-file", token)
	want := "\nBROKEN at agent-websocket of kas.example.com (KAS3211), by " + bundle + "/nginx/nginx.conf:28:13: without proxy_http_version 1.1 nginx speaks HTTP/1.0\n" +
		"why: agents report `expected handshake response status code 101 but got 426`: a proxy on the way speaks HTTP/1.0 to its backend, in which there are no upgrades\n" +
		"fix: have every proxy on the way speak HTTP/1.1 to its backend and pass both headers: proxy_http_version 1.1, proxy_set_header Upgrade $http_upgrade and Connection $connection_upgrade in nginx; the outermost too\n"
	if code != cli.Failure || !strings.HasSuffix(out, want) {
		t.Errorf("%d:\n%s\nwant:\n%s", code, out, want)
	}
	if !regexp.MustCompile(`skip +agent-grpc-body +depends on agent-grpc of kas.example.com, which was not asked for`).MatchString(out) {
		t.Error(out)
	}
	if !regexp.MustCompile(`skip +agent-grpc +not asked for \(--skip\)`).MatchString(out) || strings.Contains(out, "secret-token") {
		t.Error(out)
	}
}

func TestFormats(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	bad, bundle := l.nginx(t, edit(t, goodNginx, "        client_max_body_size 0;\n", ""))
	args := []string{"https://kas.example.com", "--connect-to", bad, "--ca-file", l.caFile(t), "--bundle", bundle}
	code, out, _ := run(t, append(args, "--format", "json")...)
	var r Report
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != cli.Failure {
		t.Fatal(code, err, out)
	}
	if d := cmp.Diff(&First{Layer: LayerGRPC, ID: CheckGRPCBody, Name: labName, Code: codeBody}, r.First); d != "" {
		t.Error(d)
	}
	if c, _ := r.Check(CheckBody); c.Result != Fail || c.At == nil || c.At.Line == 0 || c.Fix == "" {
		t.Errorf("%+v", c)
	}
	code, out, _ = run(t, append(args, "--format", "junit")...)
	var doc struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Skipped  int `xml:"skipped,attr"`
	}
	if err := xml.Unmarshal([]byte(out), &doc); err != nil || code != cli.Failure {
		t.Fatal(code, err, out)
	}
	if doc.Tests != 24 || doc.Failures != 2 || doc.Skipped != 4 {
		t.Errorf("%+v:\n%s", doc, out)
	}
}

func TestMisuse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad")
	write(t, bad, "two secret-words\n")
	unnamed := filepath.Join(dir, "unnamed") // a bundle without a manifest
	write(t, filepath.Join(unnamed, "nginx", "nginx.conf"), "events {}\n")
	for _, args := range [][]string{
		{}, {"--bundle", unnamed}, {"https://kas.example.com", "--agent-token-file", bad}, {"kas.example.com"}, {"http://kas.example.com"}, {"https://"}, {"https://u:p@kas.example.com"}, {"https://kas.example.com?x=y"},
		{"https://kas.example.com", "--grpc", "grpc://x"}, {"https://kas.example.com", "--proxy-protocol", "v3"}, {"https://kas.example.com", "--skip", "tsl"}, {"https://kas.example.com", "--skip", "tls"},
		{"https://kas.example.com", "--connect-to", "x=192.0.2.1"}, {"https://kas.example.com", "--connect-to", ""}, {"https://kas.example.com", "--format", "sarif"},
		{"https://kas.example.com", "--pod", "default/x"}, {"https://kas.example.com", "--pod", "x", "--token-file", bad}, {"https://kas.example.com", "--token-file", bad},
		{"https://kas.example.com", "--token-file", filepath.Join(dir, "none")}, {"https://kas.example.com", "--ca-file", bad}, {"https://kas.example.com", "--bundle", dir},
		{"https://kas.example.com", "--timeout", "0s"}, {"https://kas.example.com:https2"},
	} {
		code, out, errs := run(t, args...)
		if code != cli.Misuse || out != "" || errs == "" || strings.Contains(errs, "secret-words") {
			t.Errorf("%q: %d %q %q", args, code, out, errs)
		}
	}
}

// TestWait waits for a front that is not there yet.
func TestWait(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	address, _ := l.nginx(t, goodNginx)
	later := balancertest.FreePort(t)
	code, out, errs := run(t, "https://kas.example.com", "--connect-to", later, "--ca-file", l.caFile(t), "--wait", "100ms")
	if code != cli.Failure || errs != "waiting: tcp of kas.example.com fails\n" || !strings.Contains(out, "KAS3202") {
		t.Errorf("%d %s %s", code, out, errs)
	}
	up := time.AfterFunc(500*time.Millisecond, func() { relayOn(t, later, func(c net.Conn) { relayUntilSilent(c, address, time.Hour) }) })
	defer up.Stop()
	code, out, errs = run(t, "https://kas.example.com", "--connect-to", later, "--ca-file", l.caFile(t), "--wait", "30s")
	if code != cli.Done || !strings.HasPrefix(errs, "waiting: ") {
		t.Errorf("%d %s %s", code, out, errs)
	}
}
