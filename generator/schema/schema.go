// Package schema owns the JSON Schema of kasgen.yaml, which editors read. It
// is made from the spec's own types, defaults, comments and rules, and knows
// no field by name. Its law: a kasgen.yaml that the loader accepts is valid,
// and one with a fault in a single value is not. What lies between several
// values is the loader's.
package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"kasgen/generator/spec"
)

// Dialect is the version of JSON Schema.
const Dialect = "https://json-schema.org/draft/2020-12/schema"

// Node is one schema, in the order in which it is written.
type Node struct {
	Dialect     string      `json:"$schema,omitempty"`
	ID          string      `json:"$id,omitempty"`
	Title       string      `json:"title,omitempty"`
	Description string      `json:"description,omitempty"`
	Type        any         `json:"type,omitempty"` // a text, or a list of them
	Const       any         `json:"const,omitempty"`
	Enum        []any       `json:"enum,omitempty"`
	Pattern     string      `json:"pattern,omitempty"`
	Not         *Node       `json:"not,omitempty"`
	MinLength   int         `json:"minLength,omitempty"`
	MaxLength   int         `json:"maxLength,omitempty"`
	Minimum     *int        `json:"minimum,omitempty"`
	Maximum     *int        `json:"maximum,omitempty"`
	Items       *Node       `json:"items,omitempty"`
	MinItems    int         `json:"minItems,omitempty"`
	Unique      bool        `json:"uniqueItems,omitempty"`
	Default     any         `json:"default,omitempty"`
	Properties  *Properties `json:"properties,omitempty"`
	Required    []string    `json:"required,omitempty"`
	Additional  *bool       `json:"additionalProperties,omitempty"`
}

// Properties are the fields of an object in the order of the type.
type Properties []Property

// Property is one of them.
type Property struct {
	Name string
	*Node
}

// MarshalJSON writes an object whose keys keep their order.
func (ps Properties) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("{")
	for i, p := range ps {
		if i > 0 {
			b.WriteString(",")
		}
		name, err := json.Marshal(p.Name)
		if err != nil {
			return nil, err
		}
		node, err := marshal(p.Node)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%s:%s", name, node)
	}
	b.WriteString("}")
	return b.Bytes(), nil
}

// marshal leaves <, > and & as they are.
func marshal(n *Node) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(n)
	return bytes.TrimSpace(b.Bytes()), err
}

// JSON is the schema's text.
func JSON() ([]byte, error) {
	root, err := New()
	if err != nil {
		return nil, err
	}
	text, err := marshal(root)
	if err != nil {
		return nil, fmt.Errorf("writing the schema: %w", err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, text, "", "  "); err != nil {
		return nil, fmt.Errorf("writing the schema: %w", err)
	}
	out.WriteString("\n")
	return out.Bytes(), nil
}

// New is the schema.
func New() (*Node, error) {
	words, err := readComments(spec.Source())
	if err != nil {
		return nil, fmt.Errorf("reading the spec's comments: %w", err)
	}
	b := builder{rules: spec.Rules(), words: words}
	defaults := spec.Default()
	root := b.node(reflect.ValueOf(&defaults).Elem(), "")
	root.Dialect, root.ID, root.Title = Dialect, "urn:"+strings.ReplaceAll(spec.APIVersion, "/", ":"), "kasgen.yaml"
	root.Type = "object"
	root.Description = words.ofType(reflect.TypeFor[spec.Spec]())
	return root, nil
}
