package certs

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
)

// ErrNone is what a handshake ends with while there is no certificate.
var ErrNone = errors.New("there is no certificate yet")

// Set is certificates by ID, and who wants to know of changes. Its zero value
// is empty and ready.
type Set struct {
	mu    sync.RWMutex
	ids   []string // in the order of their first Put: the first answers who names nobody
	certs map[string]*tls.Certificate
	subs  map[chan struct{}]struct{}
}

// Put makes c the certificate of that ID, and says whether it was another.
func (s *Set) Put(id string, c *tls.Certificate) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.certs[id]
	if old != nil && slices.EqualFunc(old.Certificate, c.Certificate, bytes.Equal) {
		return false
	}
	if s.certs == nil {
		s.certs = map[string]*tls.Certificate{}
	}
	if old == nil {
		s.ids = append(s.ids, id)
	}
	s.certs[id] = c
	for sub := range s.subs {
		select {
		case sub <- struct{}{}:
		default: // there is one to be received already
		}
	}
	return true
}

// Certificate is the one of that ID, or nil.
func (s *Set) Certificate(id string) *tls.Certificate {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.certs[id]
}

// Subscribe is Source's.
func (s *Set) Subscribe() (<-chan struct{}, func()) {
	sub := make(chan struct{}, 1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.subs == nil {
		s.subs = map[chan struct{}]struct{}{}
	}
	s.subs[sub] = struct{}{}
	return sub, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.subs, sub)
	}
}

// GetConfigForClient leaves every handshake to the listener.
func (s *Set) GetConfigForClient(*tls.ClientHelloInfo) (*tls.Config, error) { return nil, nil }

// GetCertificate finds the certificate for a name that the client can use. For
// another name it is the first one, as a probe by address expects; whoever
// wants to refuse strangers does so by name and before.
func (s *Set) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.ids) == 0 {
		return nil, ErrNone
	}
	var named *tls.Certificate
	for _, id := range s.ids {
		c := s.certs[id]
		if !covers(c, hello) {
			continue
		}
		// Of an RSA and an ECDSA certificate for one name, the one whose
		// signatures the client knows.
		if hello.SupportsCertificate(c) == nil {
			return c, nil
		}
		if named == nil {
			named = c
		}
	}
	if named != nil {
		return named, nil
	}
	return s.certs[s.ids[0]], nil
}

func covers(c *tls.Certificate, hello *tls.ClientHelloInfo) bool {
	name := strings.TrimSuffix(hello.ServerName, ".")
	if name == "" && hello.Conn != nil {
		if host, _, err := net.SplitHostPort(hello.Conn.LocalAddr().String()); err == nil {
			name = host
		}
	}
	return name != "" && c.Leaf.VerifyHostname(name) == nil
}
