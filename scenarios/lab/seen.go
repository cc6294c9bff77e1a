package lab

import (
	"maps"
	"slices"
	"strings"
	"sync"
)

// seen is which protocol the API server spoke with whom. Clients fall back
// from one protocol to the other in silence; the server knows.
type seen struct {
	mu        sync.Mutex
	protocols map[string]map[string]bool // by User-Agent
}

func newSeen() *seen { return &seen{protocols: map[string]map[string]bool{}} }

func (s *seen) note(userAgent, protocol string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.protocols[userAgent] == nil {
		s.protocols[userAgent] = map[string]bool{}
	}
	s.protocols[userAgent][protocol] = true
}

// Observed are the protocols that the API server spoke with the client of
// that User-Agent; "" is plain HTTP.
func (l *Lab) Observed(userAgent string) []string {
	l.seen.mu.Lock()
	defer l.seen.mu.Unlock()
	return slices.Sorted(maps.Keys(l.seen.protocols[userAgent]))
}

// ObservedOf is Observed of every client whose User-Agent has that prefix.
func (l *Lab) ObservedOf(prefix string) []string {
	l.seen.mu.Lock()
	defer l.seen.mu.Unlock()
	all := map[string]bool{}
	for userAgent, protocols := range l.seen.protocols {
		if strings.HasPrefix(userAgent, prefix) {
			maps.Copy(all, protocols)
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// Upgrades are the protocols that the API server has switched to, with
// whomever.
func (l *Lab) Upgrades() []string {
	l.seen.mu.Lock()
	defer l.seen.mu.Unlock()
	all := map[string]bool{}
	for _, protocols := range l.seen.protocols {
		for p := range protocols {
			if p != "" {
				all[p] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(all))
}
