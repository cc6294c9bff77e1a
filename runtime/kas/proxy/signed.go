package proxy

import (
	"crypto/hmac"
	"crypto/sha3"
	"encoding/base64"
	"encoding/json"
	"errors"
	"hash"
	"net/http"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
)

// A browser can give a WebSocket neither headers nor, from another site's page,
// a cookie that it should trust. So a page asks for a token by an ordinary
// request, which proves who it is, and puts the token among the WebSocket's
// subprotocols.
const (
	tokenQuery       = "kas-websocket-token-request"
	tokenSubprotocol = "websocket-token.kas.gitlab.com."
	subprotocols     = "Sec-Websocket-Protocol"
)

// tokenLife is how long a page may take from the token to the WebSocket. The
// token says what GitLab has allowed, so it must not outlive a withdrawal by
// much.
const tokenLife = 30 * time.Second

// claims are what a token says: for one path and as whom. What is claimed is no
// secret to its bearer, so it is signed and not encrypted.
type claims struct {
	Expires int64   `json:"exp"` // Unix time
	Path    string  `json:"path"`
	Agent   int64   `json:"agent"`
	As      *[]byte `json:"as,omitempty"` // an impersonation; nil: the agent
}

// signer makes and reads tokens. Only kas reads them, so their form is its own;
// the signature is the one that GitLab's kas uses.
type signer struct{ key []byte }

func (s signer) sum(text string) []byte {
	m := hmac.New(func() hash.Hash { return sha3.New512() }, s.key)
	m.Write([]byte(text))
	return m.Sum(nil)
}

// sign is a token for a caller who may use path; it holds the characters only
// that a subprotocol may have.
func (s signer) sign(path string, a authorized, expires time.Time) (string, error) {
	c := claims{Expires: expires.Unix(), Path: path, Agent: a.agent}
	if a.as != nil {
		as, err := proto.Marshal(a.as)
		if err != nil {
			return "", err
		}
		c.As = &as
	}
	text, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	payload := base64.RawURLEncoding.EncodeToString(text)
	return payload + "." + base64.RawURLEncoding.EncodeToString(s.sum(payload)), nil
}

var (
	errTokenForm  = errors.New("the WebSocket token was not made here")
	errTokenEnded = errors.New("the WebSocket token is too old; ask for one just before the WebSocket is opened")
	errTokenPath  = errors.New("the WebSocket token is for another path")
)

// read is what a token allows on path.
func (s signer) read(token, path string, now time.Time) (authorized, error) {
	payload, mac, _ := strings.Cut(token, ".")
	sum, err := base64.RawURLEncoding.DecodeString(mac)
	if err != nil || !hmac.Equal(sum, s.sum(payload)) {
		return authorized{}, errTokenForm
	}
	var c claims
	text, err := base64.RawURLEncoding.DecodeString(payload)
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	switch {
	case err != nil:
		return authorized{}, errTokenForm
	case now.Unix() >= c.Expires:
		return authorized{}, errTokenEnded
	case c.Path != path:
		return authorized{}, errTokenPath
	}
	a := authorized{agent: c.Agent}
	if c.As != nil {
		a.as = &impersonation{}
		if proto.Unmarshal(*c.As, a.as) != nil {
			return authorized{}, errTokenForm
		}
	}
	return a, nil
}

// signedToken is the token among a request's subprotocols, "" if there is none.
func signedToken(h http.Header) (string, error) {
	found := ""
	for _, value := range h[subprotocols] {
		for name := range strings.SplitSeq(value, ",") {
			token, ok := strings.CutPrefix(strings.TrimSpace(name), tokenSubprotocol)
			switch {
			case ok && found != "":
				return "", errors.New("the request has more than one WebSocket token")
			case ok && token == "":
				return "", errTokenForm
			case ok:
				found = token
			}
		}
	}
	return found, nil
}

// withoutToken are subprotocols as the cluster may see them.
func withoutToken(values []string) []string {
	var left []string
	for _, value := range values {
		if !strings.Contains(value, tokenSubprotocol) {
			left = append(left, value)
			continue
		}
		var names []string
		for name := range strings.SplitSeq(value, ",") {
			if name = strings.TrimSpace(name); !strings.HasPrefix(name, tokenSubprotocol) {
				names = append(names, name)
			}
		}
		if len(names) > 0 {
			left = append(left, strings.Join(names, ", "))
		}
	}
	return left
}

// wantsToken says whether a request asks for a token rather than for what its
// path names.
func wantsToken(r *http.Request, upgrade string) bool {
	return upgrade == "" && r.Method == http.MethodGet && strings.Contains(r.URL.RawQuery, tokenQuery) && r.URL.Query().Get(tokenQuery) == "true"
}

// answerToken answers a request for a token.
func (p *Proxy) answerToken(w http.ResponseWriter, r *http.Request, path string, a authorized) {
	if p.signer.key == nil {
		p.fail(w, r, http.StatusBadRequest, "there are no WebSocket tokens here: agent.kubernetes_api.websocket_token_secret_file is not set", nil)
		return
	}
	token, err := p.signer.sign(path, a, time.Now().Add(tokenLife))
	var body []byte
	if err == nil {
		body, err = json.Marshal(map[string]string{"token": token})
	}
	if err != nil {
		p.fail(w, r, http.StatusInternalServerError, "the WebSocket token could not be made", err)
		return
	}
	p.metrics.answered(http.StatusOK)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	if _, err := w.Write(body); err != nil {
		p.Log.DebugContext(r.Context(), "writing a WebSocket token", "error", err)
	}
}
