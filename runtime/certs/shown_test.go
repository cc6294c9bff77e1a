package certs_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kasgen/runtime/certs"
)

// TestShown: what is obtained is told as clients see it, by who has refused it.
func TestShown(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	soon, late := now.Add(24*time.Hour), now.Add(90*24*time.Hour)
	obtained := certs.Status{ID: "kas.example.com", Source: "acme", Names: []string{"kas.example.com"}, Issuer: "CA", NotBefore: now, NotAfter: late, Renewed: now, Renewal: late.Add(-time.Hour), Failures: 1}
	old := now.Add(-time.Hour)
	before := certs.Status{ID: "/state/tls/kas.crt", Source: "files", Issuer: "CA before", NotBefore: old, NotAfter: soon, Renewed: old, Failures: 2, Error: "nginx says no"}
	same := certs.Status{ID: "/state/tls/kas.crt", Source: "files", Issuer: "CA", NotBefore: now, NotAfter: late, Renewed: old}
	with := func(f func(*certs.Status)) certs.Status { s := obtained; f(&s); return s }
	for name, tt := range map[string]struct {
		by, want certs.Status
		ready    bool
	}{
		"served": {same, obtained, true},
		"refused": {before, with(func(s *certs.Status) {
			s.Issuer, s.NotBefore, s.NotAfter, s.Renewed, s.Failures, s.Error = "CA before", old, soon, old, 3, "nginx says no"
		}), true},
		"a placeholder": {certs.Status{Error: "nginx says no", Failures: 1},
			with(func(s *certs.Status) {
				s.Issuer, s.NotBefore, s.NotAfter, s.Renewed, s.Failures, s.Error = "", time.Time{}, time.Time{}, time.Time{}, 2, "nginx says no"
			}), false},
		"another's name": {certs.Status{NotAfter: late, Foreign: []string{"web.example.com"}}, with(func(s *certs.Status) { s.Foreign = []string{"web.example.com"} }), true},
	} {
		got := obtained.Shown(tt.by)
		if d := cmp.Diff(tt.want, got); d != "" || got.Ready(now) != tt.ready {
			t.Errorf("%s: ready %v (-want +got):\n%s", name, got.Ready(now), d)
		}
	}
	failed := with(func(s *certs.Status) { s.Error = "the CA says no" })
	if got := failed.Shown(before).Error; got != "the CA says no" {
		t.Errorf("of two errors %q is told", got)
	}
}
