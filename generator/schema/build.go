package schema

import (
	"encoding"
	"math"
	"reflect"
	"strings"

	"kasgen/generator/spec"
)

// builder makes nodes of types.
type builder struct {
	rules map[string]spec.Rule
	words comments
}

// node is the schema of a value at a path. The value holds the defaults.
func (b *builder) node(v reflect.Value, path string) *Node {
	var n *Node
	if _, text := v.Addr().Interface().(encoding.TextUnmarshaler); text {
		n = b.written(v, path)
	} else {
		switch v.Kind() {
		case reflect.Pointer:
			return b.node(reflect.New(v.Type().Elem()).Elem(), path)
		case reflect.Struct:
			n = b.object(v, path)
		case reflect.Slice:
			n = b.list(v, path)
		case reflect.Bool:
			n = &Node{Type: "boolean"}
		case reflect.String:
			n = b.text(v, path)
		default:
			n = b.number(v, path)
		}
	}
	if !v.IsZero() && v.Kind() != reflect.Struct {
		n.Default = v.Interface()
	}
	return n
}

// object is a mapping with the fields of a struct and no others.
func (b *builder) object(v reflect.Value, path string) *Node {
	closed := false
	n := &Node{Type: "object", Properties: &Properties{}, Additional: &closed}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		at := name
		if path != "" {
			at = path + "." + name
		}
		p := b.node(v.Field(i), at)
		p.Description = b.words.ofField(v.Type(), f)
		if b.needed(v.Field(i), at, p) {
			n.Required = append(n.Required, name)
		} else {
			nullable(p)
		}
		*n.Properties = append(*n.Properties, Property{name, p})
	}
	return n
}

// needed says whether a field must be there: it has no default and must not be
// empty, or it is a section with such a field.
func (b *builder) needed(v reflect.Value, path string, n *Node) bool {
	if v.Kind() == reflect.Struct {
		return len(n.Required) > 0
	}
	rule := b.rules[path]
	return v.Kind() != reflect.Pointer && v.IsZero() && rule.Required && rule.Always
}

// nullable permits null, which leaves a field as if it were not there.
func nullable(n *Node) {
	if n.Const != nil {
		n.Enum, n.Const = []any{n.Const}, nil
	}
	n.Type = []any{n.Type, "null"}
	if n.Enum != nil {
		n.Enum = append(n.Enum, nil)
	}
}

func (b *builder) list(v reflect.Value, path string) *Node {
	rule := b.rules[path]
	n := &Node{Type: "array", Items: b.node(reflect.New(v.Type().Elem()).Elem(), path+"[]"), Unique: rule.Unique}
	if rule.Required && rule.Always {
		n.MinItems = 1
	}
	return n
}

func (b *builder) number(v reflect.Value, path string) *Node {
	n := &Node{Type: "integer"}
	least, most, bounded := 0, 0, false
	if v.CanUint() && v.Type().Bits() < 64 {
		most, bounded = int(uint64(math.MaxUint64)>>(64-v.Type().Bits())), true
	}
	if r := b.rules[path]; r.Least != 0 || r.Most != 0 {
		least, most, bounded = r.Least, r.Most, true
	}
	if bounded {
		n.Minimum, n.Maximum = &least, &most
	}
	return n
}

// written is a type that reads its own text.
func (b *builder) written(v reflect.Value, path string) *Node {
	n := &Node{Type: "string"}
	switch v.Interface().(type) {
	case spec.Duration:
		n.Pattern = durationPattern
		if b.rules[path].Form == spec.FormLimit {
			n.Pattern = limitPattern
		}
	case spec.Date:
		n.Pattern = datePattern
	}
	return n
}

// text is a text, in the form that its rule has.
func (b *builder) text(v reflect.Value, path string) *Node {
	rule := b.rules[path]
	n := &Node{Type: "string"}
	// Where nothing is the default, nothing may be written; an item of a list
	// has no default.
	empty := v.IsZero() && !(rule.Required && rule.Always) && !strings.HasSuffix(path, "[]")
	if rule.Values != nil {
		if len(rule.Values) == 1 && !empty {
			n.Const = rule.Values[0]
			return n
		}
		for _, value := range rule.Values {
			n.Enum = append(n.Enum, value)
		}
		if empty {
			n.Enum = append(n.Enum, "")
		}
		return n
	}
	if f, ok := forms()[rule.Form]; ok {
		f.apply(n, empty)
	} else if rule.Required && rule.Always {
		n.Pattern = `\S`
	}
	return n
}
