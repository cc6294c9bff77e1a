package certs

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"kasgen/internal/diag"
)

// The codes of what is wrong with certificates.
const (
	CodeNone    = "KAS3301" // there is none, or none that works
	CodeExpires = "KAS3302" // it expires soon, or has
	CodeRenewal = "KAS3303" // the next one could not be obtained
	CodeForeign = "KAS3306" // it is for other names than it is served for
)

// When an expiry is worth a word. A certificate of 90 days is renewed after
// about 60: with 20 days left several attempts have failed, with 7 somebody has
// to act.
const (
	Soon     = 20 * 24 * time.Hour
	VerySoon = 7 * 24 * time.Hour
)

// Findings are what is wrong with certificates at that time. What several have
// found about the same files is one.
func Findings(all []Status, now time.Time) diag.Findings {
	var fs diag.Findings
	for _, s := range all {
		left := s.NotAfter.Sub(now)
		if len(s.Foreign) > 0 {
			fs.Add(diag.Finding{Code: CodeForeign, Field: s.ID, What: fmt.Sprintf("%s: the certificate is for %s and not for %s", s.ID, listed(s.Names), listed(s.Foreign)),
				Why: "agents and kubectl refuse a certificate that is not for the name that they asked for", Fix: "have one issued for " + listed(s.Foreign) + ", or correct the file's name where it is configured"})
		}
		switch {
		case s.NotAfter.IsZero():
			fs.Add(diag.Finding{Code: CodeNone, Field: s.ID, What: s.ID + ": there is no certificate" + because(s.Error),
				Why: "no client gets through TLS for this name", Fix: "repair what the reason says, or provide the files"})
		case left <= Soon:
			f := diag.Finding{Code: CodeExpires, Severity: diag.Warning, Field: s.ID, What: s.ID + ": " + expiry(left) + because(s.Error),
				Why: "agents and kubectl refuse it from then on", Fix: "renew it, and see why that has not happened by itself"}
			if left <= VerySoon {
				f.Severity = diag.Error
			}
			fs.Add(f)
		case s.Error != "":
			fs.Add(diag.Finding{Code: CodeRenewal, Severity: diag.Warning, Field: s.ID, What: s.ID + ": the last attempt to get a new certificate failed" + because(s.Error),
				Why: "the one in use serves until " + s.NotAfter.UTC().Format(time.RFC3339), Fix: "repair what the reason says; it is tried again by itself"})
		}
	}
	var distinct diag.Findings
	for _, f := range fs {
		if !slices.ContainsFunc(distinct, func(d diag.Finding) bool { return d.Field == f.Field && d.Code == f.Code && d.What == f.What }) {
			distinct = append(distinct, f)
		}
	}
	return distinct
}

func listed(names []string) string {
	if len(names) == 0 {
		return "no name"
	}
	return strings.Join(names, " and ")
}

func expiry(left time.Duration) string {
	if left <= 0 {
		return "the certificate has expired"
	}
	return fmt.Sprintf("the certificate expires in %d days", int(left/(24*time.Hour)))
}

func because(err string) string {
	if err == "" {
		return ""
	}
	return ": " + err
}
