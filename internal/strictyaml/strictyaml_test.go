package strictyaml_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"sigs.k8s.io/yaml"

	"kasgen/internal/strictyaml"
)

type span time.Duration

func (s *span) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	if err != nil {
		return &strictyaml.ValueError{What: "not a duration", Why: "it has no unit", Fix: "write 5s"}
	}
	*s = span(d)
	return nil
}

type level string

func (s span) MarshalText() ([]byte, error) { return []byte(time.Duration(s).String()), nil }

func (l *level) UnmarshalJSON(text []byte) error {
	switch string(text) {
	case `"low"`, "0":
		*l = "low"
	case `""`:
	default:
		return errors.New("want low")
	}
	return nil
}

type base struct {
	Address string `json:"address"`
}

type inner struct {
	base
	Port  uint16   `json:"port"`
	Limit *span    `json:"limit,omitempty"`
	Names []string `json:"names"`
}

type sample struct {
	Name   string            `json:"name"`
	On     bool              `json:"on"`
	Rate   float64           `json:"rate"`
	Count  int               `json:"count"`
	Level  level             `json:"level"`
	One    *inner            `json:"one"`
	Many   []inner           `json:"many"`
	Labels map[string]string `json:"labels"`
}

func TestDecode(t *testing.T) {
	t.Parallel()
	limit := span(5 * time.Second)
	for name, tc := range map[string]struct {
		in   string
		want sample
	}{
		"empty":        {in: "", want: sample{}},
		"comment only": {in: "# nothing\n", want: sample{}},
		"null root":    {in: "null\n", want: sample{}},
		"null is unset": {
			in:   "name: null\none:\nmany: ~\non: true\n",
			want: sample{On: true},
		},
		"everything": {
			in: "name: x\non: yes\nrate: 1\ncount: 1e3\nlevel: 0\none: {port: 443, limit: 5s, names: [a, b]}\n" +
				"many:\n- port: 1\n- names: []\nlabels: {a: b}\n",
			want: sample{
				Name: "x", On: true, Rate: 1, Count: 1000, Level: "low",
				One:  &inner{Port: 443, Limit: &limit, Names: []string{"a", "b"}},
				Many: []inner{{Port: 1}, {Names: []string{}}}, Labels: map[string]string{"a": "b"},
			},
		},
		"dates and words of YAML 1.1 are texts where a text belongs": {
			in: "name: 2027-01-31\nlabels: {a: yes}\n", want: sample{Name: "2027-01-31", Labels: map[string]string{"a": "yes"}},
		},
		"alias and merge": {
			in:   "one: &o {port: 1, names: [a]}\nmany: [*o, {<<: *o, port: 2}, {<<: [*o]}]\n",
			want: sample{One: &inner{Port: 1, Names: []string{"a"}}, Many: []inner{{Port: 1, Names: []string{"a"}}, {Port: 2, Names: []string{"a"}}, {Port: 1, Names: []string{"a"}}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got sample
			_, fs := strictyaml.Decode("f.yaml", []byte(tc.in), &got)
			if len(fs) > 0 {
				t.Fatalf("findings: %v", fs)
			}
			if d := cmp.Diff(tc.want, got, cmp.AllowUnexported(inner{}, base{})); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestFindings(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		in   string
		want []string // place, code and a word of what or fix
	}{
		"syntax":            {"name: [a\n", []string{"f.yaml:1:1 KAS1001 not YAML"}},
		"tab":               {"one:\n\tport: 1\n", []string{"f.yaml:2:2 KAS1001 not YAML"}},
		"unknown anchor":    {"name: a\nmany: *x\n", []string{"f.yaml:2:7 KAS1001 unknown anchor"}},
		"NUL":               {"name: a\x00b\n", []string{"f.yaml:1:8 KAS1002 NUL"}},
		"control character": {"name: a\n\x01\n", []string{"f.yaml:2:1 KAS1002 U+0001"}},
		"not UTF-8":         {"name: \xff\n", []string{"f.yaml:1:7 KAS1002 0xff"}},
		"documents":         {"name: a\n---\nname: b\n", []string{"f.yaml:2:1 KAS1004 second"}},
		"unknown key":       {"nmae: a\n", []string{`f.yaml:1:1 KAS1005 write "name"`}},
		"unknown key, none near": {
			"one: {somethingelse: 1}\n", []string{"f.yaml:1:7 KAS1005 limit, names, port"},
		},
		"byte columns":   {"labels: {é: b, a: 1}\n", []string{"f.yaml:1:20 KAS1007 in quotes"}},
		"duplicate":      {"name: a\none:\n  port: 1\n  port: 2\nname: b\n", []string{"f.yaml:4:3 KAS1006 line 3", "f.yaml:5:1 KAS1006 line 1"}},
		"number as text": {"name: 18.10\n", []string{`f.yaml:1:7 KAS1007 "18.10"`}},
		"text as number": {"count: many\n", []string{"f.yaml:1:8 KAS1007 whole number"}},
		"fraction":       {"count: 1.5\n", []string{"f.yaml:1:8 KAS1007 whole number"}},
		"too big":        {"one: {port: 65536}\n", []string{"f.yaml:1:13 KAS1007 0 to 65535"}},
		"quoted truth":   {"on: \"true\"\n", []string{"f.yaml:1:5 KAS1007 true or false"}},
		"list as map":    {"one: [1]\n", []string{"f.yaml:1:6 KAS1007 mapping"}},
		"map as list":    {"many: {a: b}\n", []string{"f.yaml:1:7 KAS1007 list"}},
		"map as text":    {"name: {a: b}\n", []string{"f.yaml:1:7 KAS1007 text"}},
		"empty item":     {"many:\n-\n", []string{"f.yaml:2:2 KAS1007 many[0]"}},
		"value":          {"one:\n  limit: 5\nlevel: high\n", []string{"f.yaml:2:10 KAS1008 write 5s", "f.yaml:3:8 KAS1008 want low"}},
		"cycle":          {"many: &m [{names: *m}]\n", []string{"f.yaml:1:19 KAS1009 inside"}},
		"merge cycle":    {"one: &m {<<: *m}\n", []string{"f.yaml:1:14 KAS1009 inside"}},
		"root":           {"- a\n", []string{"f.yaml:1:1 KAS1007 the file is a list"}},
		"all at once": {
			"nmae: a\ncount: x\none: {port: -1, names: [1]}\n",
			[]string{"f.yaml:1:1 KAS1005", "f.yaml:2:8 KAS1007", "f.yaml:3:13 KAS1007", "f.yaml:3:25 KAS1007"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got sample
			_, fs := strictyaml.Decode("f.yaml", []byte(tc.in), &got)
			if len(fs) != len(tc.want) {
				t.Fatalf("want %d findings, got:\n%v", len(tc.want), fs)
			}
			for i, want := range tc.want {
				place, rest, _ := strings.Cut(want, " ")
				code, word, _ := strings.Cut(rest, " ")
				f := fs[i]
				if f.String() != place || f.Code != code || !strings.Contains(f.What+f.Why+f.Fix, word) {
					t.Errorf("want %s, got %v (why: %s; fix: %s)", want, f, f.Why, f.Fix)
				}
				if f.Why == "" || f.Fix == "" {
					t.Errorf("%v: no reason or fix", f)
				}
			}
		})
	}
}

func TestPos(t *testing.T) {
	t.Parallel()
	var got sample
	doc, _ := strictyaml.Decode("f.yaml", []byte("name: a\none:\n  port: 1\nmany:\n- names: [x, y]\n"), &got)
	for path, want := range map[string]string{
		"name":              "f.yaml:1:7",
		"one":               "f.yaml:2:1",
		"one.port":          "f.yaml:3:9",
		"one.limit":         "f.yaml:2:1",
		"many[0].names[1]":  "f.yaml:5:14",
		"many[0].names[7]":  "f.yaml:5:10",
		"many[3].names":     "f.yaml:4:1",
		"rate":              "f.yaml:1:1",
		"":                  "f.yaml:1:1",
		"labels.a.b.c[1].d": "f.yaml:1:1",
	} {
		if got := doc.Pos(path).String(); got != want {
			t.Errorf("Pos(%q) = %s, want %s", path, got, want)
		}
	}
	if doc.Has("rate") || !doc.Has("one.port") {
		t.Error("Has is wrong")
	}
}

func TestEncode(t *testing.T) {
	t.Parallel()
	v := struct {
		Name  string   `json:"name"`
		Ports []uint16 `json:"ports"`
		Many  []base   `json:"many"`
		Empty []string `json:"empty"`
	}{"1.2", []uint16{1}, []base{{"yes"}, {"::1"}}, []string{}}
	got := string(strictyaml.Encode(v, map[string]string{"": "one\n\ntwo", "ports": "three", "many[1].address": "four"}))
	want := `# one
#
# two

name: "1.2"
# three
ports:
  - 1
many:
  - address: "yes"
  - # four
    address: ::1
empty: []
`
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestHostile holds Decode to time limits on input made to exhaust it.
func TestHostile(t *testing.T) {
	t.Parallel()
	bomb := "labels: &a0 {x: y}\n"
	for i := 1; i < 20; i++ {
		bomb += fmt.Sprintf("k%d: &a%d [%s]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d,", i-1), 9))
	}
	names := "one:\n  names: &n [" + strings.Repeat("a,", 200) + "]\nmany:\n" + strings.Repeat("- names: *n\n", 500)
	for name, in := range map[string][]byte{
		"10 MiB line":      append([]byte("name: "), bytes.Repeat([]byte("a"), 10<<20)...),
		"longest line":     append([]byte("name: "), bytes.Repeat([]byte("a"), strictyaml.MaxBytes-6)...),
		"long flow list":   append([]byte("many: ["), bytes.Repeat([]byte("é,"), strictyaml.MaxBytes/4)...),
		"long wrong list":  []byte("one: {names: [" + strings.Repeat("é,1,", strictyaml.MaxBytes/8) + "]}"),
		"deep":             bytes.Repeat([]byte("["), 100_000),
		"deep blocks":      bytes.Repeat([]byte("- "), 100_000),
		"unknown keys":     bytes.Repeat([]byte("x: 1\n"), 100_000),
		"undefined bomb":   []byte(bomb),
		"bomb":             []byte(names),
		"many merge cycle": []byte("many: &m [{<<: *m}]\n"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			var got sample
			_, fs := strictyaml.Decode("f.yaml", in, &got)
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("took %v", took)
			}
			if name != "longest line" && len(fs) == 0 {
				t.Error("no finding")
			}
			for _, f := range fs {
				if len(f.What)+len(f.Why)+len(f.Fix) > 1000 {
					t.Fatalf("a finding of %d bytes", len(f.What))
				}
			}
		})
	}
}

// FuzzDecode holds Decode to its law: no panic, places inside the file, and
// what it accepts it also reads back from sigs.k8s.io/yaml's writing of it.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		"", "name: a\n", "one: {port: 1, limit: 5s, names: [a]}\n", "many:\n- <<: {port: 1}\n",
		"a: &a [*a]\n", "--- a\n---\n", "\ufeffname: b\r\n", "name: |\n  a\n", "? [a]\n: b\n", "count: 0x10\nrate: .5\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var got sample
		doc, fs := strictyaml.Decode("f.yaml", data, &got)
		for _, finding := range fs {
			if finding.Line < 1 || finding.Column < 1 || finding.Line > bytes.Count(data, []byte("\n"))+1 {
				t.Fatalf("place %v is outside the file", finding.Pos)
			}
		}
		doc.Pos("one.names[0]")
		if len(fs) > 0 {
			return
		}
		sigs, err := yaml.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range [][]byte{sigs, strictyaml.Encode(got, nil)} {
			var again sample
			if _, fs := strictyaml.Decode("again.yaml", text, &again); len(fs) > 0 {
				t.Fatalf("%v\n%s", fs, text)
			}
			if d := cmp.Diff(got, again, cmp.AllowUnexported(inner{}, base{}), cmpopts.EquateEmpty()); d != "" {
				t.Errorf("%s\n%s", d, text)
			}
		}
	})
}
