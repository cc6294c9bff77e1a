package kubernetes

import (
	"fmt"
	"strings"
	"testing"
)

func TestForeign(t *testing.T) {
	t.Parallel()
	for flags, want := range map[string]string{
		"":                 "",
		"-buildvcs=false":  "-buildvcs=false",
		"-mod=vendor":      "",
		"  -mod=mod  -p=2": "-p=2",
		"-modcacherw --overlay=/x.json -modfile=y.mod -race": "-modcacherw",
		`"-overlay=/a b.json" '-ldflags=-s -w' -tags=x`:      `'-ldflags=-s -w' -tags=x`,
		`-v '-mod=open`: "-v",
	} {
		if got := foreign(flags); got != want {
			t.Errorf("of %q remains %q, want %q", flags, got, want)
		}
	}
}

func TestTail(t *testing.T) {
	t.Parallel()
	var long strings.Builder
	for i := range 100 {
		fmt.Fprintf(&long, "line %d\n", i)
	}
	for complaint, want := range map[string]string{
		"":                            "",
		"go: downloading a v1\n":      "",
		"go: downloading a v1\nb\n\n": ": b",
	} {
		if got := tail(complaint); got != want {
			t.Errorf("of %q remains %q, want %q", complaint, got, want)
		}
	}
	if got := tail(long.String()); !strings.HasPrefix(got, ": line 80\n") || !strings.HasSuffix(got, "line 99") {
		t.Errorf("of a long complaint remains %q", got)
	}
}

func TestGoModFaults(t *testing.T) {
	t.Parallel()
	for printed, want := range map[string]string{
		"{":                "go mod edit",
		`{"Go": "1.26.0"}`: "names no staging module",
		`{"Replace": [{"Old": {"Path": "a"}, "New": {"Path": "./third_party/a"}}]}`: "./third_party/a",
	} {
		if _, err := goMod([]byte(printed), Version); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("of %s: error %v, want one with %q", printed, err, want)
		}
	}
}
