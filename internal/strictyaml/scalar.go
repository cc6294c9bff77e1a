package strictyaml

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"reflect"
	"strings"

	"gopkg.in/yaml.v3"

	"kasgen/internal/diag"
)

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// pairs walks a mapping's keys and values, those of merge keys ("<<") after
// its own, and reports repeated ones.
func (d *decoder) pairs(n *yaml.Node) iter.Seq2[*yaml.Node, *yaml.Node] {
	return func(yield func(key, value *yaml.Node) bool) {
		d.walk(n, map[string]*yaml.Node{}, yield)
	}
}

func (d *decoder) walk(n *yaml.Node, seen map[string]*yaml.Node, yield func(key, value *yaml.Node) bool) bool {
	merged := d.depth > 0 && len(seen) > 0
	var merges []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind == yaml.AliasNode {
			key = key.Alias
		}
		if key.ShortTag() == "!!merge" {
			merges = append(merges, value)
			continue
		}
		if first, repeated := seen[key.Value]; repeated && key.Kind == yaml.ScalarNode {
			if !merged {
				d.add(CodeDuplicate, key, fmt.Sprintf("the key %s is here a second time", quote(key.Value)),
					fmt.Sprintf("it was set on line %d already, and only one of them can count", d.doc.node(first).Line),
					"keep one of the two")
			}
			continue
		}
		seen[key.Value] = key
		if !yield(key, value) {
			return false
		}
	}
	for _, value := range merges {
		if !d.merge(value, seen, yield) {
			return false
		}
	}
	return true
}

// merge walks what a merge key names: a mapping or a list of them.
func (d *decoder) merge(n *yaml.Node, seen map[string]*yaml.Node, yield func(key, value *yaml.Node) bool) bool {
	more := true
	switch n.Kind {
	case yaml.AliasNode:
		d.alias(n, func(target *yaml.Node) {
			if d.spend(target) {
				d.open[target] = true
				more = d.merge(target, seen, yield)
				delete(d.open, target)
			}
		})
	case yaml.MappingNode:
		d.depth++ // merged keys give way to those already there
		more = d.walk(n, seen, yield)
		d.depth--
	case yaml.SequenceNode:
		for _, item := range n.Content {
			if more = d.merge(item, seen, yield); !more {
				break
			}
		}
	default:
		d.add(CodeType, n, "<< needs a mapping", "it copies the keys of another mapping to this one", "name an anchored mapping, or remove it")
	}
	return more
}

// scalar decodes a single value into a text, truth value or number.
func (d *decoder) scalar(n *yaml.Node, v reflect.Value, path string) {
	want := kindName(v)
	if n.Kind != yaml.ScalarNode {
		d.wrongType(n, path, want)
		return
	}
	switch v.Kind() {
	case reflect.String:
		switch n.ShortTag() {
		case "!!str", "!!timestamp":
			v.SetString(n.Value)
		default:
			d.wrongType(n, path, want)
		}
	case reflect.Bool:
		if b, ok := truth(n); ok {
			v.SetBool(b)
			return
		}
		d.wrongType(n, path, want)
	default:
		d.number(n, v, path, want)
	}
}

// truth reads what YAML 1.1 takes for a truth value.
func truth(n *yaml.Node) (value, ok bool) {
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
		return false, false
	}
	switch n.Value {
	case "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON":
		return true, true
	case "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF":
		return false, true
	}
	return false, false
}

// number decodes into any integer or floating point type.
func (d *decoder) number(n *yaml.Node, v reflect.Value, path, want string) {
	var f float64
	tag := n.ShortTag()
	if (tag != "!!int" && tag != "!!float") || n.Decode(&f) != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		d.wrongType(n, path, want)
		return
	}
	var i int64
	whole := tag == "!!int" && n.Decode(&i) == nil
	if tag == "!!float" && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		i, whole = int64(f), true // 1.0 and 1e3 are whole numbers to JSON
	}
	fits := true
	switch {
	case v.CanFloat():
		v.SetFloat(f)
	case v.CanInt():
		if fits = whole && !v.OverflowInt(i); fits {
			v.SetInt(i)
		}
	case v.CanUint():
		if fits = whole && i >= 0 && !v.OverflowUint(uint64(i)); fits {
			v.SetUint(uint64(i))
		}
	default:
		panic(fmt.Sprintf("strictyaml: %s is a %s, which is not supported", path, v.Type()))
	}
	if !fits {
		d.wrongType(n, path, want)
	}
}

func kindName(v reflect.Value) string {
	switch {
	case v.Kind() == reflect.String:
		return "a text"
	case v.Kind() == reflect.Bool:
		return "true or false"
	case v.CanFloat():
		return "a number"
	case v.CanUint():
		return fmt.Sprintf("a whole number from 0 to %d", uint64(math.MaxUint64)>>(64-v.Type().Bits()))
	default:
		return "a whole number"
	}
}

func (d *decoder) wrongType(n *yaml.Node, path, want string) {
	got, fix := "", "write "+want
	switch n.Kind {
	case yaml.MappingNode:
		got = "a mapping"
	case yaml.SequenceNode:
		got = "a list"
	default:
		got = map[string]string{"!!int": "the number ", "!!float": "the number ", "!!bool": "the truth value "}[n.ShortTag()]
		if got != "" && want == "a text" {
			fix = fmt.Sprintf("put it in quotes: %q", clip(n.Value))
		}
		got += quote(n.Value)
	}
	name := path
	if path == "" {
		name = "the file"
	}
	d.report(diag.Finding{
		Code: CodeType, Pos: d.doc.node(n), Field: path, What: fmt.Sprintf("%s is %s", name, got),
		Why: "it must be " + want, Fix: fix,
	})
}

func (d *decoder) badValue(n *yaml.Node, path string, err error) {
	f := diag.Finding{
		Code: CodeValue, Pos: d.doc.node(n), Field: path,
		What: fmt.Sprintf("%s cannot be %s", path, quote(n.Value)), Why: err.Error(), Fix: "correct the value",
	}
	if v, ok := errors.AsType[*ValueError](err); ok {
		f.Why, f.Fix = v.What, v.Fix
		if v.Why != "" {
			f.Why += ": " + v.Why
		}
	}
	d.report(f)
}

// scalarJSON is a scalar as JSON: numbers and truth values as such, else a
// string.
func scalarJSON(n *yaml.Node) []byte {
	var f float64
	switch n.ShortTag() {
	case "!!bool":
		if b, ok := truth(n); ok {
			return fmt.Append(nil, b)
		}
	case "!!int", "!!float":
		if n.Decode(&f) == nil {
			if text, err := json.Marshal(f); err == nil {
				return text
			}
		}
	}
	text, err := json.Marshal(n.Value)
	if err != nil {
		return []byte(`""`)
	}
	return text
}

// clip bounds a value in a message; a line of 100 KiB helps nobody.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

func quote(s string) string { return fmt.Sprintf("%q", clip(s)) }
