package certs

import (
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
