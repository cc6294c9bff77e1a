// Package explain owns what is known about each finding's code: its title,
// reason, repair and an example, from docs/findings.md. It knows no finding
// and prints nothing by itself. Its law: a code that the program can report
// has an entry, and an entry has a code that the program can report.
package explain

import (
	"strings"
	"sync"

	"kasgen/docs"
	"kasgen/internal/diag"
)

// Severity is what a finding of a code can be.
type Severity string

// The severities.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Either  Severity = "error or warning"
)

// Entry is all that is written about one code.
type Entry struct {
	Code     string   `json:"code"`
	Title    string   `json:"title"`
	Severity Severity `json:"severity"`
	About    string   `json:"about"` // the kind of file, or the step
	What     string   `json:"what"`
	Why      string   `json:"why"`
	Fix      string   `json:"fix"`
	Example  string   `json:"example"`
	Language string   `json:"language,omitempty"` // of the example
}

// entries is docs/findings.md, read when it is first asked for. It is part of
// the program, so a fault in it is a programmer's error.
var entries = sync.OnceValue(func() []Entry {
	list, err := Parse(docs.Findings())
	if err != nil {
		panic("explain: docs/findings.md: " + err.Error())
	}
	return list
})

// All lists every entry in the order of codes.
func All() []Entry { return append([]Entry(nil), entries()...) }

// Lookup is the entry of a code, in capitals or not.
func Lookup(code string) (Entry, bool) {
	for _, e := range entries() {
		if strings.EqualFold(e.Code, code) {
			return e, true
		}
	}
	return Entry{}, false
}

// Nearest is the code that an unknown one may have been meant for, or "". One
// of the same kind of file goes before others that are as near.
func Nearest(code string) string {
	code = strings.ToUpper(code)
	if code != "" && strings.Trim(code, "0123456789") == "" {
		code = "KAS" + code // as people say it
	}
	var kin, codes []string
	for _, e := range entries() {
		codes = append(codes, e.Code)
		if kind := len("KAS00"); len(code) > kind && strings.HasPrefix(e.Code, code[:kind]) {
			kin = append(kin, e.Code)
		}
	}
	if near := diag.Nearest(code, kin); near != "" {
		return near
	}
	return diag.Nearest(code, codes)
}
