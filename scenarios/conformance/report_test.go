package conformance

import (
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// counts are of the whole suite.
type counts struct {
	mu         sync.Mutex
	behaviours map[string]bool
	fronts     map[string]bool
	versions   map[kind]string
	equal      int
	apart      map[string]int // behaviours that differ on purpose, by reason
	different  int
}

var tally = &counts{behaviours: map[string]bool{}, fronts: map[string]bool{}, versions: map[kind]string{}, apart: map[string]int{}}

var version = regexp.MustCompile(`\d+\.\d+\.\d+`)

// found notes a real program's version.
func (c *counts) found(k kind) {
	said, err := exec.Command(string(k.program()), "-v").CombinedOutput()
	if err != nil {
		return // its tests will tell
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.versions[k] = version.FindString(string(said))
}

func (c *counts) note(b *book, one *behaviour, f front, apart *difference, same bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.behaviours[b.path+" "+one.name] = true
	c.fronts[f.String()] = true
	switch {
	case !same:
		c.different++
	case apart != nil:
		c.apart[apart.reason]++
	default:
		c.equal++
	}
}

// failed counts behaviours that could not be tried.
func (c *counts) failed(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.different += n
}

// report is the suite's last word.
func (c *counts) report(w io.Writer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var fronts []string
	for f := range c.fronts {
		if v := c.versions[kind(f)]; v != "" {
			f += " " + v
		}
		fronts = append(fronts, f)
	}
	slices.Sort(fronts)
	var reasons []string
	apart := 0
	for reason, n := range c.apart {
		apart += n
		reasons = append(reasons, fmt.Sprintf("conformance: differs on purpose, %d: %s\n", n, reason))
	}
	slices.Sort(reasons)
	fmt.Fprint(w, strings.Join(reasons, ""))
	fmt.Fprintf(w, "conformance: %d behaviours on %d fronts (%s): %d comparisons, %d equal, %d differ on purpose, %d different\n",
		len(c.behaviours), len(fronts), strings.Join(fronts, ", "), c.equal+apart+c.different, c.equal, apart, c.different)
}
