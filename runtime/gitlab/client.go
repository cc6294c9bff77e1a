// Package gitlab is the one client of GitLab's internal API: what kas asks
// about agents, CI jobs and people. It knows neither listeners nor tunnels. Its
// law: a token goes to GitLab and nowhere else, never into an error or a log.
package gitlab

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"

	"kasgen/runtime/host"
)

// Errors that callers tell apart; anything else means GitLab could not answer.
var (
	ErrUnauthorized = errors.New("unauthorized") // 401
	ErrForbidden    = errors.New("forbidden")    // 403
	ErrNotFound     = errors.New("not found")    // 404
)

// Denied says whether GitLab answered, and the answer was no. Such an answer
// may be remembered; a failure to answer may not.
func Denied(err error) bool {
	return errors.Is(err, ErrUnauthorized) || errors.Is(err, ErrForbidden) || errors.Is(err, ErrNotFound)
}

// maxAnswer bounds an answer of GitLab in bytes. The largest, the agents that
// a job may use, stays far below a megabyte.
const maxAnswer = 16 << 20

// Client asks one GitLab.
type Client struct {
	base   *url.URL
	secret []byte
	http   *http.Client
	agent  string
	limit  *rate.Limiter
}

// Options say which GitLab and how it is reached.
type Options struct {
	Address    string // http(s)://host[:port][/path]
	SecretFile string // base64 of the key that signs kas's JWT
	CAFile     string // PEM; empty: the system's roots
	UserAgent  string
	// PerSecond and Burst bound the questions, whoever they are about; 0 and 0
	// is no bound. A question beyond them waits.
	PerSecond float64
	Burst     int
}

// New reads the secret and the CA and contacts nobody.
func New(h *host.Host, o Options) (*Client, error) {
	base, err := url.Parse(o.Address)
	if err != nil || base.Host == "" {
		return nil, fmt.Errorf("gitlab.address %q is not a URL", o.Address)
	}
	secret, err := ReadSecret(h, o.SecretFile)
	if err != nil {
		return nil, fmt.Errorf("gitlab.authentication_secret_file: %w", err)
	}
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         h.Dial,
		TLSHandshakeTimeout: 10 * time.Second,
		MaxIdleConnsPerHost: 4, // one who asks seldom keeps little open
		IdleConnTimeout:     90 * time.Second,
		ForceAttemptHTTP2:   true,
	}
	if h.Roots != nil {
		transport.TLSClientConfig = &tls.Config{RootCAs: h.Roots}
	}
	if o.CAFile != "" {
		pem, err := h.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("gitlab.ca_certificate_file: %w", err)
		}
		roots, err := x509.SystemCertPool()
		if err != nil {
			roots = x509.NewCertPool()
		}
		if h.Roots != nil {
			roots = h.Roots.Clone()
		}
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("gitlab.ca_certificate_file: no certificate in %s", o.CAFile)
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: roots}
	}
	limit := rate.NewLimiter(rate.Limit(o.PerSecond), o.Burst)
	if o.PerSecond == 0 && o.Burst == 0 {
		limit = rate.NewLimiter(rate.Inf, 0)
	}
	return &Client{base: base, secret: secret, agent: o.UserAgent, limit: limit,
		http: &http.Client{Transport: transport, CheckRedirect: refuseRedirect}}, nil
}

// refuseRedirect keeps tokens at the host that the configuration names.
func refuseRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// ReadSecret reads a file with the base64 form of an HMAC key. Newlines in it
// do no harm.
func ReadSecret(h *host.Host, path string) ([]byte, error) {
	text, err := h.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("%s does not hold base64", path)
	}
	if len(key) == 0 {
		return nil, fmt.Errorf("%s is empty", path)
	}
	return key, nil
}

// token is the JWT by which GitLab knows kas: HS256, 30 s, 5 s of slack for
// clocks that differ.
func (c *Client) token() (string, error) {
	now := time.Now()
	return jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.RegisteredClaims{
		Issuer:    "gitlab-kas",
		Audience:  jwt.ClaimStrings{"gitlab"},
		IssuedAt:  jwt.NewNumericDate(now),
		NotBefore: jwt.NewNumericDate(now.Add(-5 * time.Second)),
		ExpiresAt: jwt.NewNumericDate(now.Add(30 * time.Second)),
	}).SignedString(c.secret)
}

// question is one request to GitLab.
type question struct {
	method, path string
	headers      http.Header
	body         any  // sent as JSON; nil: none
	signed       bool // with kas's JWT
}

// askLimit is how long GitLab may take to answer: callers wait for each
// other's questions, and one that never ends would hold them all. It is Rails'
// own limit for a request.
const askLimit = 60 * time.Second

// ask asks and reads the answer into answer.
func (c *Client) ask(ctx context.Context, q question, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	if err := c.limit.Wait(ctx); err != nil {
		return fmt.Errorf("waiting for gitlab.api_rate_limit: %w", err)
	}
	var body io.Reader
	if q.body != nil {
		data, err := json.Marshal(q.body)
		if err != nil {
			return err
		}
		body = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, q.method, c.base.JoinPath(q.path).String(), body)
	if err != nil {
		return err
	}
	if q.headers != nil {
		req.Header = q.headers
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.agent)
	if q.signed {
		t, err := c.token()
		if err != nil {
			return fmt.Errorf("signing the request to GitLab: %w", err)
		}
		req.Header.Set("Gitlab-Kas-Api-Request", t)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("asking GitLab: %w", err)
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK, http.StatusCreated:
	case http.StatusUnauthorized:
		return ErrUnauthorized
	case http.StatusForbidden:
		return ErrForbidden
	case http.StatusNotFound:
		return ErrNotFound
	default:
		return &statusError{path: q.path, status: resp.StatusCode}
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(answer); err != nil {
		return fmt.Errorf("reading GitLab's answer to %s: %w", q.path, err)
	}
	return nil
}

type statusError struct {
	path   string
	status int
}

func (e *statusError) Error() string {
	return fmt.Sprintf("GitLab answered %s with status %d", e.path, e.status)
}

// passing says whether another try may go better: a connection that failed,
// or a 5xx.
func passing(err error) bool {
	var s *statusError
	if errors.As(err, &s) {
		return s.status >= 500
	}
	var op *net.OpError
	return errors.As(err, &op) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)
}
