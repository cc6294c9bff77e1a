package scenario

import (
	"errors"
	"strings"
	"testing"
	"testing/fstest"
)

const (
	partSpec     = "-- kasgen.yaml --\nx\n"
	partScenario = "-- scenario.yaml --\ntitle: a title\nexpect: {agents: {wss: \"yes\", grpcs: \"yes\"}, clients: {k8sProxy: \"yes\", spdy: \"yes\", websocket: \"yes\"}}\n"
)

// TestReadChecks holds checks to trials and outcomes that there are.
func TestReadChecks(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ more, want string }{
		{"checks: [{try: body, expect: \"413\"}, {try: stream, expect: reset}, {try: silence, shortened: grpc_read_timeout 1s, expect: cut}]\n", ""},
		{"checks: [{try: bodies, expect: passes}]\n", `there is no trial "bodies"`},
		{"checks: [{try: body, expect: reset}]\n", `of body must come "reset"`},
		{"checks: [{try: body}]\n", `of body must come ""`},
		{"checks: [{try: silence, expect: cut}]\n", `the limit "" cannot be shortened`},
		{"checks: [{try: silence, shortened: proxy_read_timeout 1s, expect: cut}]\n", `"proxy_read_timeout" is not one of`},
		{"checks: [{try: silence, shortened: grpc_read_timeout 2s, expect: cut}]\n", "2s is no time"},
		{"checks: [{try: body, shortened: grpc_read_timeout 1s, expect: passes}]\n", "is shortened for body"},
		{"balancer: alb\nchecks: [{try: silence, shortened: grpc_read_timeout 1s, expect: cut}]\n", "silence is tried behind a model"},
		{"checks: []\n-- nginx/nginx.conf --\nhttp {}\n", ""},
		{"checks: []\n-- haproxy/haproxy.cfg --\n", `the part "haproxy/haproxy.cfg" is unknown`},
	} {
		files := fstest.MapFS{"m/1.txtar": {Data: []byte(partSpec + partScenario + tt.more)}}
		all, err := Read(files, "m")
		if tt.want == "" && (err != nil || len(all) != 1) || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", tt.more, err, tt.want)
		}
	}
}

// TestChecksAreJudged: a check that differs is told and fails, whatever the
// cells are; and what was shortened is said.
func TestChecksAreJudged(t *testing.T) {
	t.Parallel()
	s := Scenario{Name: "9-x", Settings: Settings{Checks: []Check{{Try: Body, Expect: TooLarge}, {Try: Silence, Expect: Cut, Shortened: "grpc_read_timeout 1s"}}}}
	cells := s.cells("native")
	for i := range cells {
		cells[i].Got, cells[i].Pass = Yes, true
	}
	var checks []Checked
	for _, c := range s.Checks {
		d := s.checked(c, "native")
		d.Got, d.Pass, d.Reason = c.Expect, true, "a reason"
		checks = append(checks, d)
	}
	print := func() string {
		var b strings.Builder
		if err := WriteTable(&b, cells, checks); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	if err := Judge(cells, checks); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"(grpc_read_timeout shortened from 60s to 1s)  cut\n", "9-x, silence by grpc_read_timeout: a reason\n", "5 cells: 5 as expected, 0 not; 2 checks: 2 as expected, 0 not, by the native front\n"} {
		if got := print(); !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	checks[1].Got, checks[1].Pass = Passes, false
	if got := print(); !strings.Contains(got, "passes (not cut)\n") || !strings.Contains(got, "2 checks: 1 as expected, 1 not") {
		t.Errorf("the difference is not told:\n%s", got)
	}
	if err := Judge(cells, checks); !errors.Is(err, ErrCells) || !strings.Contains(err.Error(), "silence by grpc_read_timeout in 9-x is passes, not cut") {
		t.Errorf("%v", err)
	}
}
