package certs

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFindings(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	in := func(days int) time.Time { return now.Add(time.Duration(days) * 24 * time.Hour) }
	for name, tt := range map[string]struct {
		status Status
		want   []string
	}{
		"well":            {Status{ID: "kas", NotAfter: in(60)}, nil},
		"none":            {Status{ID: "kas"}, []string{"error: KAS3301: kas: there is no certificate"}},
		"none, for this":  {Status{ID: "kas", Error: "no route"}, []string{"error: KAS3301: kas: there is no certificate: no route"}},
		"soon":            {Status{ID: "kas", NotAfter: in(19)}, []string{"warning: KAS3302: kas: the certificate expires in 19 days"}},
		"very soon":       {Status{ID: "kas", NotAfter: in(6)}, []string{"error: KAS3302: kas: the certificate expires in 6 days"}},
		"expired":         {Status{ID: "kas", NotAfter: in(-1)}, []string{"error: KAS3302: kas: the certificate has expired"}},
		"renewal failing": {Status{ID: "kas", NotAfter: in(25), Error: "429"}, []string{"warning: KAS3303: kas: the last attempt to get a new certificate failed: 429"}},
	} {
		var got []string
		for _, f := range Findings([]Status{tt.status}, now) {
			got = append(got, f.Error())
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestFindingsOnce: what two roles find about the same files is told once, and
// what they find otherwise is told too.
func TestFindingsOnce(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	well, expired := now.Add(60*24*time.Hour), now.Add(-time.Hour)
	all := []Status{{ID: "kas", NotAfter: well, Error: "no PEM"}, {ID: "kas", NotAfter: well, Error: "no PEM"}, {ID: "kas", NotAfter: well, Error: "no key"}, {ID: "web", NotAfter: well, Error: "no PEM"}}
	answer := func() (int, []string) {
		rec := httptest.NewRecorder()
		Readiness(func() []Status { return all }, func() time.Time { return now })(rec, httptest.NewRequest(http.MethodGet, "/readiness", nil))
		return rec.Code, strings.Split(strings.TrimSpace(rec.Body.String()), "\n")
	}
	const failed = ": the last attempt to get a new certificate failed: "
	code, got := answer()
	if d := cmp.Diff([]string{"warning: KAS3303: kas" + failed + "no PEM", "warning: KAS3303: kas" + failed + "no key", "warning: KAS3303: web" + failed + "no PEM"}, got); d != "" || code != http.StatusOK {
		t.Errorf("%d (-want +got):\n%s", code, d)
	}
	for i := range all {
		all[i] = Status{ID: "kas", Names: []string{"kas.example.com"}, NotAfter: expired}
	}
	if code, got := answer(); len(got) != 1 || code != http.StatusServiceUnavailable {
		t.Errorf("%d %q", code, got)
	}
}
