package commented

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

func TestWrite(t *testing.T) {
	t.Parallel()
	got, err := Write([]Field{
		{Path: []string{"a", "b"}, Value: "x", Why: "one\ntwo"},
		{Path: []string{"c"}, Value: []string{"1", "y"}},
		{Path: []string{"a", "n.io/k"}, Value: "60", Why: "last"},
		{Path: []string{"a", "true"}, Value: map[string]any{"k": 1, "l": "z"}},
		{Path: []string{"a", "t"}, Value: "two\nlines\n"},
		{Path: []string{"e"}, Value: map[string]any{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	const want = `a:
  # one
  # two
  b: x
  # last
  n.io/k: "60"
  "true":
    k: 1
    l: z
  t: |
    two
    lines
c:
- "1"
- "y"
e: {}
`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	var back map[string]any
	if err := yaml.UnmarshalStrict(got, &back); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(map[string]any{
		"a": map[string]any{"b": "x", "n.io/k": "60", "true": map[string]any{"k": 1.0, "l": "z"}, "t": "two\nlines\n"},
		"c": []any{"1", "y"}, "e": map[string]any{},
	}, back); diff != "" {
		t.Error(diff)
	}
}

func TestClashes(t *testing.T) {
	t.Parallel()
	for name, fields := range map[string][]Field{
		"twice": {{Path: []string{"a"}, Value: 1}, {Path: []string{"a"}, Value: 2}},
		"below": {{Path: []string{"a"}, Value: 1}, {Path: []string{"a", "b"}, Value: 2}},
		"above": {{Path: []string{"a", "b"}, Value: 1}, {Path: []string{"a"}, Value: 2}},
	} {
		if out, err := Write(fields); err == nil {
			t.Errorf("%s: %s", name, out)
		}
	}
}
