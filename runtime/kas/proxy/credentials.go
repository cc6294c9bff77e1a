package proxy

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
)

// jobCredentials are those of a CI job: Bearer ci:AGENT_ID:CI_JOB_TOKEN.
type jobCredentials struct {
	agentID int64
	token   string
}

// credentials reads the request's credentials. Its errors never hold any part
// of them.
func credentials(r *http.Request) (jobCredentials, error) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return jobCredentials{}, errors.New("the request has no Authorization header")
	}
	if len(values) > 1 {
		return jobCredentials{}, errors.New("the request has more than one Authorization header")
	}
	bearer, ok := strings.CutPrefix(values[0], "Bearer ")
	if !ok {
		return jobCredentials{}, errors.New("the Authorization header is not of the form Bearer TOKEN")
	}
	kind, rest, ok := strings.Cut(bearer, ":")
	if !ok {
		return jobCredentials{}, errors.New("the token is not of the form ci:AGENT_ID:CI_JOB_TOKEN")
	}
	if kind != "ci" {
		return jobCredentials{}, errors.New("the token is of a kind that is not known here; known is ci")
	}
	number, token, ok := strings.Cut(rest, ":")
	if !ok || token == "" {
		return jobCredentials{}, errors.New("the token is not of the form ci:AGENT_ID:CI_JOB_TOKEN")
	}
	id, err := strconv.ParseInt(number, 10, 64)
	if err != nil || id <= 0 {
		return jobCredentials{}, errors.New("the agent id in the token is not a positive whole number")
	}
	return jobCredentials{agentID: id, token: token}, nil
}
