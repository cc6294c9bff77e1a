package apiserver

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// auditPolicy has the API server write down who asked for what and what came
// of it, once when the answer's head is sent and once when it has ended.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
`

func (s *Server) auditLog() string { return filepath.Join(s.dir, "audit.log") }

// Request is what the API server wrote down of one.
type Request struct {
	UserAgent string
	Verb      string // Kubernetes': list, create, …; an upgrade that came as GET is "get", one that came as POST "create"
	Path      string // with the query
	Status    int
	User      string // who connected
	As        string // whom that user impersonated
	Groups    []string
	Extra     map[string][]string
}

// Upgraded says whether the connection was switched to another protocol.
func (r Request) Upgraded() bool { return r.Status == 101 }

// Audited are the requests so far whose client calls itself by that prefix, in
// the order of their answers.
func (s *Server) Audited(userAgentPrefix string) ([]Request, error) {
	text, err := os.ReadFile(s.auditLog())
	if err != nil {
		return nil, fmt.Errorf("reading the API server's audit log: %w", err)
	}
	return readAudit(text, userAgentPrefix)
}

func readAudit(text []byte, userAgentPrefix string) ([]Request, error) {
	seen := map[string]bool{}
	var list []Request
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e auditEvent
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			break // the last line is being written
		}
		if !strings.HasPrefix(e.UserAgent, userAgentPrefix) || seen[e.AuditID] {
			continue
		}
		seen[e.AuditID] = true
		list = append(list, e.request())
	}
	return list, lines.Err()
}

type auditUser struct {
	Username string
	Groups   []string
	Extra    map[string][]string
}

// auditEvent is the part of an audit.k8s.io/v1 Event that is needed.
type auditEvent struct {
	AuditID          string
	UserAgent        string
	Verb             string
	RequestURI       string
	User             auditUser
	ImpersonatedUser auditUser
	ResponseStatus   struct{ Code int }
}

func (e auditEvent) request() Request {
	return Request{UserAgent: e.UserAgent, Verb: e.Verb, Path: e.RequestURI, Status: e.ResponseStatus.Code,
		User: e.User.Username, As: e.ImpersonatedUser.Username, Groups: e.ImpersonatedUser.Groups, Extra: e.ImpersonatedUser.Extra}
}
