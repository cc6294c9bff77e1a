// Package commented writes YAML in which each value says why it is there. It
// knows no schema. Its law: sections stand in the order in which they first
// come, and a key that needs quotes has them.
package commented

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// Field is a value and the way to it.
type Field struct {
	Path  []string
	Value any
	Why   string // lines for people above it; empty: none
}

// section is a mapping under way.
type section struct {
	name  string
	field *Field // of a value; nil: below holds others
	below []*section
}

// Write writes fields, each below the section that its path names. A field
// whose path is, or is below, another one's is an error.
func Write(fields []Field) ([]byte, error) {
	root := &section{}
	for i := range fields {
		if err := root.add(&fields[i]); err != nil {
			return nil, err
		}
	}
	var out bytes.Buffer
	for _, s := range root.below {
		if err := s.write(&out, 0); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), nil
}

func (s *section) add(f *Field) error {
	at := s
	for i, name := range f.Path {
		if at.field != nil {
			return fmt.Errorf("%s is below a value", strings.Join(f.Path, "."))
		}
		n := slices.IndexFunc(at.below, func(b *section) bool { return b.name == name })
		if n < 0 {
			at.below = append(at.below, &section{name: name})
			n = len(at.below) - 1
		} else if i == len(f.Path)-1 {
			return fmt.Errorf("%s is there twice", strings.Join(f.Path, "."))
		}
		at = at.below[n]
	}
	at.field = f
	return nil
}

func (s *section) write(out *bytes.Buffer, depth int) error {
	indent := strings.Repeat("  ", depth)
	if s.field != nil && s.field.Why != "" {
		for line := range strings.Lines(s.field.Why) {
			fmt.Fprintf(out, "%s# %s\n", indent, strings.TrimSuffix(line, "\n"))
		}
	}
	if s.field != nil {
		return s.value(out, indent, s.field.Value)
	}
	if err := s.value(out, indent, nil); err != nil {
		return err
	}
	for _, b := range s.below {
		if err := b.write(out, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// value writes the section's name and what it holds; nil is nothing yet.
func (s *section) value(out *bytes.Buffer, indent string, v any) error {
	text, err := yaml.Marshal(map[string]any{s.name: v})
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	if v == nil {
		text = bytes.TrimSuffix(text, []byte(" null\n"))
	}
	for line := range strings.Lines(string(text)) {
		fmt.Fprintf(out, "%s%s\n", indent, strings.TrimSuffix(line, "\n"))
	}
	return nil
}
