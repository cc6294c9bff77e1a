package proof

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"

	"kasgen/chart/manifest"
	"kasgen/internal/diag"
)

// Difference is one between two sets of objects.
type Difference struct {
	Object *manifest.Object `json:"-"`
	ID     string           `json:"object"`
	Kind   string           `json:"change"` // added, removed or changed
	Field  string           `json:"field,omitempty"`
	Old    string           `json:"old,omitempty"`
	New    string           `json:"new,omitempty"`
}

func (d Difference) String() string {
	switch d.Kind {
	case "added":
		return "+ " + d.ID
	case "removed":
		return "- " + d.ID
	default:
		return fmt.Sprintf("~ %s %s: %s -> %s", d.ID, d.Field, d.Old, d.New)
	}
}

// Compare lists what has changed between two sets of objects. An object that
// says no namespace is in the release's.
func Compare(before, after []*manifest.Object, namespace string) []Difference {
	index := func(list []*manifest.Object) map[string]*manifest.Object {
		m := map[string]*manifest.Object{}
		for _, o := range list {
			id := o.Kind + " " + o.Name
			if o.Namespace != "" && o.Namespace != namespace {
				id = o.Kind + " " + o.Namespace + "/" + o.Name
			}
			group, _, found := strings.Cut(o.APIVersion, "/")
			if found && strings.Contains(group, ".x-k8s.io") {
				id += " (" + group + ")"
			}
			m[id] = o
		}
		return m
	}
	was, is := index(before), index(after)
	var list []Difference
	ids := slices.Sorted(maps.Keys(is))
	for id := range was {
		if is[id] == nil {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	for _, id := range ids {
		a, b := was[id], is[id]
		switch {
		case a == nil:
			list = append(list, Difference{Object: b, ID: id, Kind: "added"})
		case b == nil:
			list = append(list, Difference{Object: a, ID: id, Kind: "removed"})
		default:
			differ(id, b, spread(a.Tree, namespace), spread(b.Tree, namespace), &list)
		}
	}
	return list
}

// spread is an object's leaves by their path. Text that is YAML itself, in a
// ConfigMap, is spread too.
func spread(tree map[string]any, namespace string) map[string]string {
	out := map[string]string{}
	var walk func(at string, v any)
	walk = func(at string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, x := range v {
				walk(join(at, k), x)
			}
		case []any:
			for i, x := range v {
				walk(fmt.Sprintf("%s[%s]", at, element(x, i)), x)
			}
		case string:
			var file map[string]any
			if strings.HasPrefix(at, "data.") && strings.Contains(v, "\n") && yaml.Unmarshal([]byte(erb.ReplaceAllString(v, "erb")), &file) == nil && file != nil {
				walk(at, file)
				return
			}
			out[at] = fmt.Sprintf("%q", v)
		default:
			text, err := json.Marshal(v)
			if err != nil {
				text = fmt.Append(nil, v)
			}
			out[at] = string(text)
		}
	}
	walk("", tree)
	if out["metadata.namespace"] == fmt.Sprintf("%q", namespace) {
		delete(out, "metadata.namespace")
	}
	return out
}

// element is how a list's part is called: by its name, where it has one, so that
// one more at the front does not change all others.
func element(v any, i int) string {
	if m, ok := v.(map[string]any); ok {
		if name, ok := m["name"].(string); ok {
			return name
		}
	}
	return fmt.Sprint(i)
}

func join(at, key string) string { return strings.TrimPrefix(at+"."+key, ".") }

func differ(id string, o *manifest.Object, a, b map[string]string, list *[]Difference) {
	fields := slices.Collect(maps.Keys(b))
	for k := range a {
		if _, ok := b[k]; !ok {
			fields = append(fields, k)
		}
	}
	slices.Sort(fields)
	for _, f := range fields {
		was, ok := a[f]
		if !ok {
			was = "(nothing)"
		}
		is, ok := b[f]
		if !ok {
			is = "(nothing)"
		}
		if was != is {
			*list = append(*list, Difference{Object: o, ID: id, Kind: "changed", Field: f, Old: was, New: is})
		}
	}
}

// checksum is an annotation by which pods are started anew for a new file.
var checksum = regexp.MustCompile(`\.checksum/[^.]+$`)

// Others finds what has changed that is not kas's: neither its objects, nor what
// GitLab says of it, nor a checksum of that, nor its listener of a Gateway.
func Others(release string, differences []Difference) diag.Findings {
	var findings diag.Findings
	for _, d := range differences {
		o := d.Object
		switch {
		case o.Labels["app"] == "kas" && o.Labels["release"] == release,
			o.Name == release+"-kas", strings.HasPrefix(o.Name, release+"-kas-"),
			d.Kind == "changed" && checksum.MatchString(d.Field),
			d.Kind == "changed" && strings.Contains(d.Field, ".gitlab_kas."),
			o.Kind == "Gateway" && strings.Contains(d.Field, "listeners[kas-"):
			continue
		}
		findings.Add(diag.Finding{Code: CodeOthers, Pos: o.Pos, Field: d.Field, What: "something that is not kas's changes: " + d.String(),
			Why: "values for kas should change kas", Fix: "leave out the value that does it, or change it in a release of its own"})
	}
	return findings
}
