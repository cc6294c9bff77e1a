package certs

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Readiness answers whether clients can be served with the certificates that
// status tells of: 200 and a line for each finding, or 503 and why not.
func Readiness(status func() []Status, now func() time.Time) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		all, now := status(), now()
		if why := unready(all, now); why != "" {
			http.Error(w, why, http.StatusServiceUnavailable)
			return
		}
		var lines strings.Builder
		for _, f := range Findings(all, now) {
			lines.WriteString(f.Error() + "\n")
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, lines.String()) // who has gone asks again
	}
}

// unready says which certificates clients cannot be served with, and why.
func unready(all []Status, now time.Time) string {
	var lines []string
	for _, st := range all {
		if st.Ready(now) {
			continue
		}
		line := strings.Join(st.Names, ", ") + ": there is no certificate that is valid"
		if st.Error != "" {
			line += ": " + st.Error
		}
		for _, f := range Findings([]Status{st}, now) {
			line = f.Code + ": " + line
		}
		if !slices.Contains(lines, line) { // several may read the same files
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}
