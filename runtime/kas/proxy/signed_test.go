package proxy

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http/httpguts"
	"google.golang.org/protobuf/testing/protocmp"
)

func TestSigner(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	s, other := signer{make([]byte, 72)}, signer{append(make([]byte, 71), 1)}
	for name, as := range map[string]*impersonation{"agent": nil, "nobody": {}, "somebody": {Username: "gitlab:user:jo", Groups: []string{"gitlab:user"}}} {
		token, err := s.sign("/watch", authorized{7, as}, now.Add(time.Second))
		if err != nil {
			t.Fatal(err)
		}
		if !httpguts.ValidHeaderFieldName(tokenSubprotocol + token) { // a subprotocol has the same characters
			t.Errorf("%s: no subprotocol can be %q", name, token)
		}
		got, err := s.read(token, "/watch", now)
		if err != nil || got.agent != 7 || (got.as == nil) != (as == nil) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if diff := cmp.Diff(as, got.as, protocmp.Transform()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		payload, mac, _ := strings.Cut(token, ".")
		forged := strings.Replace(payload, payload[:4], "eyJl", 1) + "x"
		for fault, tt := range map[string]struct {
			token, path string
			by          signer
			at          time.Time
			want        error
		}{
			"ended":       {token, "/watch", s, now.Add(time.Second), errTokenEnded},
			"other path":  {token, "/watch2", s, now, errTokenPath},
			"other key":   {token, "/watch", other, now, errTokenForm},
			"other claim": {forged + "." + mac, "/watch", s, now, errTokenForm},
			"no MAC":      {payload + ".", "/watch", s, now, errTokenForm},
			"cut MAC":     {token[:len(token)-4], "/watch", s, now, errTokenForm},
			"garbage":     {"x", "/watch", s, now, errTokenForm},
			"empty":       {"", "/watch", s, now, errTokenForm},
		} {
			if _, err := tt.by.read(tt.token, tt.path, tt.at); !errors.Is(err, tt.want) {
				t.Errorf("%s, %s: %v, want %v", name, fault, err, tt.want)
			}
		}
	}
}

// TestTokenFlow: a page asks for a token and opens a WebSocket with it.
func TestTokenFlow(t *testing.T) {
	t.Parallel()
	p, _ := newProxy(t, nil)
	page := http.Header{"Cookie": {"_gitlab_kas=se%2Fss%2Bion"}, csrfHeader: {"csrf"}, agentHeader: {"7"}, "Origin": {origin}}
	const path = "/k8s-proxy/api/v1/namespaces/n/pods/p/exec"
	tokenFor := func(p *Proxy, target string, header http.Header) answered { return ask(t, p, "GET", target, header) }
	a := tokenFor(p, "/k8s-proxy/watch?kas-websocket-token-request=true", page)
	var got struct{ Token string }
	if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.code != 200 || got.Token == "" || a.header.Get("Cache-Control") != "no-store" || a.header.Get("Access-Control-Allow-Origin") != origin {
		t.Fatalf("%d %v %q, %v", a.code, a.header, a.body, err)
	}
	dial := func(p *Proxy, path, token string) answered {
		return ask(t, p, "GET", path, http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Key": {"x"}, "Origin": {origin},
			subprotocols: {"gitlab-agent-watch-api, " + tokenSubprotocol + token}})
	}
	if a := dial(p, "/k8s-proxy/watch", got.Token); a.code != 502 {
		t.Errorf("with the token: %d %s", a.code, a.message)
	}
	if a := dial(p, path, got.Token); a.code != 401 || !strings.Contains(a.message, "another path") {
		t.Errorf("with the token of another path: %d %s", a.code, a.message)
	}
	if a := dial(p, "/k8s-proxy/watch", got.Token+"x"); a.code != 401 || !strings.Contains(a.message, "not made here") {
		t.Errorf("with a token that is no token: %d %s", a.code, a.message)
	}
	stranger := page.Clone()
	stranger.Set("Cookie", "_gitlab_kas=x")
	if a := tokenFor(p, "/k8s-proxy/watch?kas-websocket-token-request=true", stranger); a.code != 401 {
		t.Errorf("a token for a stranger: %d", a.code)
	}
	if a := tokenFor(p, "/k8s-proxy/watch?kas-websocket-token-request=false", page); a.code != 502 {
		t.Errorf("no request for a token: %d", a.code)
	}
	without, _ := newProxy(t, func(o *Options) { o.TokenKey = nil })
	if a := tokenFor(without, "/k8s-proxy/watch?kas-websocket-token-request=true", page); a.code != 400 || !strings.Contains(a.message, "websocket_token_secret_file") {
		t.Errorf("a token where there are none: %d %s", a.code, a.message)
	}
	if a := dial(without, "/k8s-proxy/watch", got.Token); a.code != 401 || !strings.Contains(a.message, "websocket_token_secret_file") {
		t.Errorf("with a token where there are none: %d %s", a.code, a.message)
	}
}

// FuzzSigner: nothing that was not signed is read.
func FuzzSigner(f *testing.F) {
	s := signer{make([]byte, 72)}
	now := time.Unix(1_800_000_000, 0)
	token, err := s.sign("/", authorized{agent: 7}, now.Add(time.Second))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(token)
	f.Add(strings.Replace(token, ".", "A.", 1))
	f.Fuzz(func(t *testing.T, text string) {
		if a, err := s.read(text, "/", now); err == nil && text != token {
			// The last character of base64 has bits that say nothing.
			if payload, _, _ := strings.Cut(token, "."); !strings.HasPrefix(text, payload+".") {
				t.Errorf("%q is read as %+v", text, a)
			}
		}
	})
}
