package proxy

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// access is how a caller is known.
type access string

const (
	accessJob     access = "a CI job token"
	accessToken   access = "a personal access token"
	accessSession access = "a session"
	accessSigned  access = "a WebSocket token" // one that this kas has signed
)

// credentials are who a request comes from, and the agent that it wants. Which
// fields are set is the access's business.
type credentials struct {
	access  access
	agentID int64
	key     string // job token, personal access token, session, or WebSocket token
	csrf    string // of a session
	cookies int    // how many session cookies the request has
}

// Where browsers put what a header or a cookie cannot carry.
const (
	sessionCookie = "_gitlab_kas"
	agentHeader   = "Gitlab-Agent-Id"
	csrfHeader    = "X-Csrf-Token"
	agentQuery    = "gitlab-agent-id"
	csrfQuery     = "gitlab-csrf-token"
)

var errNoCredentials = errors.New("the request has no credentials: neither an Authorization header nor the cookie " + sessionCookie)

// credentialsOf reads a request's credentials. Its errors never hold any part
// of them.
func credentialsOf(r *http.Request) (credentials, error) {
	if values := r.Header["Authorization"]; len(values) > 0 {
		return bearer(values)
	}
	token, err := signedToken(r.Header)
	if err != nil {
		return credentials{}, err
	}
	if token != "" {
		return credentials{access: accessSigned, key: token}, nil
	}
	return session(r)
}

// bearer reads Bearer KIND:AGENT_ID:TOKEN.
func bearer(values []string) (credentials, error) {
	if len(values) > 1 {
		return credentials{}, errors.New("the request has more than one Authorization header")
	}
	token, ok := strings.CutPrefix(values[0], "Bearer ")
	if !ok {
		return credentials{}, errors.New("the Authorization header is not of the form Bearer TOKEN")
	}
	var c credentials
	kind, rest, _ := strings.Cut(token, ":")
	switch kind {
	case "ci":
		c.access = accessJob
	case "pat":
		c.access = accessToken
	default:
		return credentials{}, errors.New("the token is neither of the form ci:AGENT_ID:CI_JOB_TOKEN nor pat:AGENT_ID:PERSONAL_ACCESS_TOKEN")
	}
	number, key, ok := strings.Cut(rest, ":")
	if !ok || key == "" {
		return credentials{}, fmt.Errorf("the token is not of the form %s:AGENT_ID:TOKEN", kind)
	}
	var err error
	if c.agentID, err = agentID(number); err != nil {
		return credentials{}, fmt.Errorf("the agent id in the token %w", err)
	}
	c.key = key
	return c, nil
}

// session reads the cookie that GitLab has set, and what must stand beside it.
func session(r *http.Request) (credentials, error) {
	cookies := r.CookiesNamed(sessionCookie)
	if len(cookies) == 0 {
		return credentials{}, errNoCredentials
	}
	c := credentials{access: accessSession, cookies: len(cookies)}
	var err error
	// Rails escapes what it sets.
	if c.key, err = url.QueryUnescape(cookies[0].Value); err != nil || c.key == "" {
		return credentials{}, errors.New("the cookie " + sessionCookie + " cannot be read")
	}
	query := r.URL.Query()
	number, err := one(r.Header[agentHeader], query[agentQuery], agentHeader+" header nor a "+agentQuery)
	if err != nil {
		return credentials{}, err
	}
	if c.agentID, err = agentID(number); err != nil {
		return credentials{}, fmt.Errorf("the agent id that goes with the cookie %s %w", sessionCookie, err)
	}
	// GitLab holds it to the session; without one there is nothing to hold.
	c.csrf, err = one(r.Header[csrfHeader], query[csrfQuery], csrfHeader+" header nor a "+csrfQuery)
	return c, err
}

// one is the single value of a header or, where there is none, of a query
// parameter.
func one(header, query []string, names string) (string, error) {
	values := header
	if len(values) == 0 {
		values = query
	}
	switch {
	case len(values) == 0 || len(values) == 1 && values[0] == "":
		return "", fmt.Errorf("the cookie %s needs more than itself, and the request has neither a %s parameter", sessionCookie, names)
	case len(values) > 1:
		return "", fmt.Errorf("the cookie %s needs one value, and the request has more than one where it may have a %s parameter", sessionCookie, strings.Replace(names, "nor", "or", 1))
	}
	return values[0], nil
}

var errAgentID = errors.New("is not a positive whole number")

func agentID(text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id <= 0 {
		return 0, errAgentID
	}
	return id, nil
}
