package gitlab

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// largestBody bounds a request in bytes: an agent's configuration is the
// largest there is.
const largestBody = 8 << 20

func writeJSON(w http.ResponseWriter, status int, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		// All values here are structs and maps of strings, which marshal.
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone
}

// refuse answers as GitLab's API words its errors.
func refuse(w http.ResponseWriter, status int) {
	writeJSON(w, status, map[string]string{"message": fmt.Sprintf("%d %s", status, http.StatusText(status))})
}

// readJSON reads a body into value or answers 400 or 413.
func readJSON(w http.ResponseWriter, r *http.Request, value any) bool {
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, largestBody)).Decode(value)
	if err == nil {
		return true
	}
	status := http.StatusBadRequest
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		status = http.StatusRequestEntityTooLarge
	}
	refuse(w, status)
	return false
}
