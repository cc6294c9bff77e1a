// Package given owns the values that people give a Helm chart: their files, and
// whether the chart knows their keys. It renders nothing. Its law: a key that
// the chart would take in silence and do nothing about is a finding with its
// place.
package given

import (
	"bytes"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
	k8syaml "sigs.k8s.io/yaml"

	"kasgen/chart/engine"
	"kasgen/internal/diag"
)

// Codes of what is wrong with values.
const (
	CodeSyntax  = "KAS6105" // not a mapping
	CodeUnknown = "KAS6106" // a key that the chart does not have
	CodeCustom  = "KAS6107" // customConfig in both places
	CodeTwice   = "KAS6108" // a key twice
)

// Values are those of one file.
type Values struct {
	File   string
	Tree   map[string]any
	places map[string]diag.Pos
}

// Read reads a file of values.
func Read(file string, data []byte) (Values, diag.Findings) {
	v := Values{File: file, Tree: map[string]any{}, places: map[string]diag.Pos{}}
	var findings diag.Findings
	syntax := func(what string) (Values, diag.Findings) {
		findings.Add(diag.Finding{Code: CodeSyntax, Pos: diag.Pos{File: file, Line: 1, Column: 1}, What: what, Why: "Helm would refuse the file", Fix: "write a mapping of the chart's keys"})
		return v, findings
	}
	var root yaml.Node
	if err := yaml.Unmarshal(data, &root); err != nil {
		return syntax("no YAML: " + strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(bytes.TrimSpace(data)) == 0 || len(root.Content) == 0 || root.Content[0].Tag == "!!null" {
		return v, nil
	}
	if root.Content[0].Kind != yaml.MappingNode {
		return syntax("values are a mapping")
	}
	v.place(root.Content[0], "", &findings)
	if findings.Failed() {
		return v, findings
	}
	if err := k8syaml.Unmarshal(data, &v.Tree); err != nil {
		return syntax(err.Error())
	}
	return v, findings
}

// place remembers where each key is.
func (v *Values) place(n *yaml.Node, at string, findings *diag.Findings) {
	if n.Kind != yaml.MappingNode {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		path := join(at, key.Value)
		pos := diag.Pos{File: v.File, Line: key.Line, Column: key.Column}
		if first, ok := v.places[path]; ok {
			findings.Add(diag.Finding{Code: CodeTwice, Pos: pos, Field: path, What: path + " is there twice, also on line " + fmt.Sprint(first.Line),
				Why: "Helm takes one of the two", Fix: "leave one of them out"})
		}
		v.places[path] = pos
		v.place(n.Content[i+1], path, findings)
	}
}

// Pos is where a key is, or the nearest one above it.
func (v *Values) Pos(path string) diag.Pos {
	for {
		if p, ok := v.places[path]; ok {
			return p
		}
		i := strings.LastIndexByte(path, '.')
		if i < 0 {
			return diag.Pos{File: v.File}
		}
		path = path[:i]
	}
}

func join(at, key string) string { return strings.TrimPrefix(at+"."+key, ".") }

// reference finds the values that a template names.
var reference = regexp.MustCompile(`\.Values((?:\.[A-Za-z_][A-Za-z0-9_]*)+)`)

// Known are the keys of a chart.
type Known struct {
	tree map[string]any
	refs map[string]bool // that templates or conditions name
}

// Of are the keys that a chart has: those of its values.yaml, and those that its
// templates name.
func Of(c *engine.Chart) Known {
	k := Known{tree: c.Defaults(), refs: map[string]bool{}}
	for _, path := range c.Conditions() {
		k.refs[path] = true
	}
	for _, t := range c.Templates() {
		for _, m := range reference.FindAllStringSubmatch(t.Text, -1) {
			path := m[1][1:]
			if path != "global" && !strings.HasPrefix(path, "global.") {
				path = join(t.Chart, path)
			}
			k.refs[path] = true
		}
	}
	return k
}

// Has says whether a key, or a mapping around it that is there to be filled, is
// the chart's.
func (k Known) Has(path string) bool {
	at := k.tree
	for key := range strings.SplitSeq(path, ".") {
		def, ok := at[key]
		if !ok {
			return k.named(path)
		}
		below, isMap := def.(map[string]any)
		if !isMap || len(below) == 0 {
			return true
		}
		at = below
	}
	return true
}

// Check finds keys that the chart does not have.
func (k Known) Check(v Values) diag.Findings {
	var findings diag.Findings
	k.walk(v, v.Tree, k.tree, "", &findings)
	return findings
}

func (k Known) walk(v Values, tree, known map[string]any, at string, findings *diag.Findings) {
	for _, key := range slices.Sorted(maps.Keys(tree)) {
		path := join(at, key)
		def, ok := known[key]
		if !ok {
			if !k.named(path) {
				k.unknown(v, path, key, known, findings)
			}
			continue
		}
		below, isMap := tree[key].(map[string]any)
		has, wasMap := def.(map[string]any)
		// A mapping that is empty, or nothing, is there to be filled.
		if isMap && wasMap && len(has) > 0 {
			k.walk(v, below, has, path, findings)
		}
	}
}

// named says whether a template reads a key, one below it or, where values.yaml
// says nothing of what is around it, the whole around it.
func (k Known) named(path string) bool {
	for ref := range k.refs {
		if ref == path || strings.HasPrefix(ref, path+".") {
			return true
		}
	}
	return false
}

func (k Known) unknown(v Values, path, key string, known map[string]any, findings *diag.Findings) {
	f := diag.Finding{Code: CodeUnknown, Pos: v.Pos(path), Field: path, What: "the chart has no key " + path,
		Why: "Helm takes it in silence, and no template reads it", Fix: "look at the chart's values.yaml"}
	if near := diag.Nearest(key, slices.Sorted(maps.Keys(known))); near != "" {
		f.Fix = fmt.Sprintf("did you mean %s?", join(strings.TrimSuffix(strings.TrimSuffix(path, key), "."), near))
	} else if elsewhere := k.elsewhere(key); elsewhere != "" {
		f.Fix = fmt.Sprintf("did you mean %s?", elsewhere)
	}
	findings.Add(f)
}

// elsewhere is where else a key of the same name is.
func (k Known) elsewhere(key string) string {
	var found []string
	var look func(tree map[string]any, at string)
	look = func(tree map[string]any, at string) {
		for name, v := range tree {
			if name == key && at != "" {
				found = append(found, join(at, name))
			}
			if below, ok := v.(map[string]any); ok {
				look(below, join(at, name))
			}
		}
	}
	look(k.tree, "")
	if len(found) != 1 {
		return "" // none, or too many to guess
	}
	return found[0]
}

// Custom finds a customConfig that another one takes the place of.
func Custom(all map[string]any, pos func(path string) diag.Pos) diag.Findings {
	var findings diag.Findings
	global, local := mapping(all, "global", "kas", "customConfig"), mapping(all, "gitlab", "kas", "customConfig")
	if len(global) > 0 && len(local) > 0 {
		findings.Add(diag.Finding{Code: CodeCustom, Pos: pos("global.kas.customConfig"), Field: "global.kas.customConfig",
			What: "customConfig is given below global.kas and below gitlab.kas", Why: "the global one takes the place of the other, which is then gone without a word",
			Fix: "move everything to gitlab.kas.customConfig"})
	}
	return findings
}

func mapping(tree map[string]any, path ...string) map[string]any {
	for _, key := range path {
		tree, _ = tree[key].(map[string]any)
	}
	return tree
}
