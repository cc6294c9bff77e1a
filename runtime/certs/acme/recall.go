package acme

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"time"
)

// suggestion is a CA's suggestion as replicas share it, so that one of them asks
// and it is still known after a start.
type suggestion struct {
	CertID string    `json:"certID"`
	Start  time.Time `json:"start,omitzero"`
	End    time.Time `json:"end,omitzero"`
	Why    string    `json:"why,omitempty"`
	Next   time.Time `json:"next"` // when to ask again
}

// recall fills in what is known from before a start, or from others: the last
// failure, and when the CA would like the certificate to be renewed.
func (s *Source) recall(ctx context.Context, c *certificate) {
	if r := s.record(ctx, c); r.Failures > 0 {
		c.mu.Lock()
		c.status.Error, c.status.Retry = r.Error, r.until(s.o.Now())
		c.mu.Unlock()
	}
	if held := s.Certificate(c.id); held != nil {
		last := s.suggestion(ctx, c, held.Leaf, renewalInfo{})
		c.mu.Lock()
		c.ari = last
		c.mu.Unlock()
	}
}

// suggestion is what is kept of a certificate, or last if that is nothing.
func (s *Source) suggestion(ctx context.Context, c *certificate, leaf *x509.Certificate, last renewalInfo) renewalInfo {
	data, err := s.o.Cache.Get(ctx, s.certKey(c)+"+ari")
	if err != nil {
		return last
	}
	var kept suggestion
	if json.Unmarshal(data, &kept) != nil || kept.CertID == "" || kept.CertID != certID(leaf) {
		return last // none, half written, or of another certificate
	}
	return renewalInfo{certID: kept.CertID, Start: kept.Start, End: kept.End, Why: kept.Why, next: kept.Next}
}

// keepSuggestion tells the others.
func (s *Source) keepSuggestion(ctx context.Context, c *certificate, r renewalInfo) {
	data, err := json.Marshal(suggestion{r.certID, r.Start, r.End, r.Why, r.next})
	if err == nil {
		err = s.o.Cache.Put(ctx, s.certKey(c)+"+ari", data)
	}
	if err != nil && ctx.Err() == nil {
		s.o.Log.Warn("what the CA suggests is not kept", "certificate", c.id, "error", err)
	}
}
