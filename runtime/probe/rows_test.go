package probe

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestEveryRow holds the tests and docs/probe.md to the whole list of what
// people have stumbled over in handshake and path (A), TLS (C), and balancers
// and limits (D): a row is tried on a real program and comes out as the page
// says, or the page says why not.
func TestEveryRow(t *testing.T) {
	t.Parallel()
	tried := map[string]map[string]bool{}
	add := func(program string, r row) {
		if tried[r.of] == nil {
			tried[r.of] = map[string]bool{}
		}
		tried[r.of][program+" "+r.code] = true
	}
	for _, r := range nginxRows() {
		add("nginx", r)
	}
	for _, list := range haproxyRows() {
		for _, r := range list {
			add("HAProxy", r)
		}
	}
	delete(tried, "")
	text, err := os.ReadFile("../../docs/probe.md")
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\| ([A-D]\d+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$`).FindAllStringSubmatch(string(text), -1) {
		if _, twice := said[m[1]]; twice {
			t.Errorf("%s stands there twice", m[1])
		}
		said[m[1]] = m[4]
	}
	want := 0
	for letter, between := range map[string][2]int{"A": {1, 13}, "C": {20, 30}, "D": {31, 53}} {
		for n := between[0]; n <= between[1]; n++ {
			want++
			of := fmt.Sprint(letter, n)
			outcome := strings.Join(slices.Sorted(maps.Keys(tried[of])), ", ")
			why, untried := strings.CutPrefix(said[of], "not tried: ")
			switch {
			case outcome == "" && (!untried || why == ""):
				t.Errorf("%s is not tried, and the page does not say why: %q", of, said[of])
			case outcome != "" && said[of] != outcome:
				t.Errorf("%s comes out as %s, and the page says %q", of, outcome, said[of])
			}
			delete(tried, of)
		}
	}
	if len(said) != want || len(tried) > 0 {
		t.Errorf("the page has %d rows of %d; tried and not in the list: %v", len(said), want, tried)
	}
}

// TestEveryCheck holds the page to the checks that there are.
func TestEveryCheck(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/probe.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range IDs() {
		if !strings.Contains(string(text), "`"+string(id)+"`") || !strings.Contains(string(text), "\n| "+string(id.Layer())+" |") {
			t.Errorf("nothing is said of %s in the layer %s", id, id.Layer())
		}
	}
}
