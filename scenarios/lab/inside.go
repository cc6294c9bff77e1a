package lab

import "fmt"

// Connections are the upgraded streams that the stand-in cluster's API server
// has open; 0 with a real cluster.
func (l *Lab) Connections() int {
	if l.cluster == nil {
		return 0
	}
	return l.cluster.Connections()
}

// Server is host:port of the front.
func (l *Lab) Server() string { return l.server }

// Address is where a host name of kas leads.
func (l *Lab) Address(host string) (string, error) {
	for _, n := range l.names {
		if n.Name == host {
			return l.redirect.Address(n.hostport())
		}
	}
	return "", fmt.Errorf("%s is no name of the bundle", host)
}

// Bearer is the token of a CI job that may use the agent.
func (l *Lab) Bearer(a Agent) string { return l.bearer(a) }

// Token is the agent's own.
func (a Agent) Token() string { return a.token }
