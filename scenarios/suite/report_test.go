package suite

import (
	"fmt"
	"io"
	"slices"
	"sync"
)

// report is the counts of the suites that ran, which are printed at the end
// whether a test fails or not.
type report struct {
	mu    sync.Mutex
	lines []string
}

var totals report

func (r *report) add(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

func (r *report) print(w io.Writer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.Sort(r.lines)
	for _, line := range r.lines {
		fmt.Fprintln(w, line)
	}
}
