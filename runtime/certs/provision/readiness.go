package provision

import (
	"io"
	"net/http"
	"strings"
	"time"

	"kasgen/runtime/certs"
)

// readiness says whether clients can be served, and what is found about the
// certificates whether they can or not.
func (s *Server) readiness(w http.ResponseWriter, _ *http.Request) {
	all, now := s.Status(), time.Now()
	if why := unready(all, now); why != "" {
		http.Error(w, why, http.StatusServiceUnavailable)
		return
	}
	var lines strings.Builder
	for _, f := range certs.Findings(all, now) {
		lines.WriteString(f.Error() + "\n")
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, lines.String()) // who has gone asks again
}

// unready says which certificates clients cannot be served with, and why.
func unready(all []certs.Status, now time.Time) string {
	var lines []string
	for _, st := range all {
		if st.Ready(now) {
			continue
		}
		line := strings.Join(st.Names, ", ") + ": there is no certificate that is valid"
		if st.Error != "" {
			line += ": " + st.Error
		}
		for _, f := range certs.Findings([]certs.Status{st}, now) {
			line = f.Code + ": " + line
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}
