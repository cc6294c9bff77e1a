package generator_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kasgen/generator"
)

// TestCodes holds the list of codes to the code: what is used is listed, what
// is listed is used, and each once.
func TestCodes(t *testing.T) {
	t.Parallel()
	var listed []string
	for _, c := range generator.Codes() {
		listed = append(listed, c.ID)
		if c.Title == "" {
			t.Errorf("%s has no title", c.ID)
		}
	}
	if !slices.IsSorted(listed) || len(slices.Compact(slices.Clone(listed))) != len(listed) {
		t.Error("the codes are not in order or not unique")
	}
	var used []string
	declared := regexp.MustCompile(`= "(KAS1\d{3})"`)
	for _, dir := range []string{"spec", "bundle", "../internal/strictyaml", "../internal/edgeconf", "../internal/kasconf", "../internal/lockfile"} {
		files, err := filepath.Glob(dir + "/*.go")
		if err != nil || len(files) == 0 {
			t.Fatal(dir, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range declared.FindAllStringSubmatch(string(text), -1) {
				used = append(used, m[1])
			}
		}
	}
	slices.Sort(used)
	if d := cmp.Diff(used, listed); d != "" {
		t.Errorf("used and listed codes differ: %s", d)
	}
}
