package strictyaml

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// Encode is the canonical text of v, a struct with json tags: fields in the
// order of the type, blocks indented by two spaces, quotes only where needed.
// comments holds comments by field path ("listeners[0].limits"), each written
// above its field; the one at "" begins the file. v must hold only what can
// be written as JSON; anything else is a programmer's error and panics.
func Encode(v any, comments map[string]string) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("strictyaml: %T cannot be written: %v", v, err))
	}
	// JSON is YAML, and decoding it to a node keeps the order of the fields.
	var doc yaml.Node
	if err := yaml.Unmarshal(escape(text), &doc); err != nil {
		panic(fmt.Sprintf("strictyaml: %T cannot be written: %v", v, err))
	}
	block(&doc, "", comments)
	var out bytes.Buffer
	if head := comments[""]; head != "" {
		out.WriteString(commentText(head) + "\n\n")
	}
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(&doc); err != nil {
		panic(fmt.Sprintf("strictyaml: %T cannot be written: %v", v, err))
	}
	return out.Bytes()
}

// yaml11 matches plain texts that a reader of YAML 1.1, such as GitLab's kas,
// takes for a truth value or a number in base 60, and yaml.v3 does not.
var yaml11 = regexp.MustCompile(`^(?:[yY]|[yY]es|YES|[nN]|[nN]o|NO|[oO]n|ON|[oO]ff|OFF|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?)$`)

// block turns JSON's flow style into blocks and places the comments.
func block(n *yaml.Node, path string, comments map[string]string) {
	if len(n.Content) > 0 || n.Kind == yaml.ScalarNode {
		n.Style = 0 // an empty list or mapping stays [] or {}
	}
	switch n.Kind {
	case yaml.ScalarNode:
		if n.Tag == "!!str" && yaml11.MatchString(n.Value) {
			n.Style = yaml.DoubleQuotedStyle
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			at := join(path, key.Value)
			block(key, "", nil)
			if c := comments[at]; c != "" && at != "" {
				key.HeadComment = commentText(c)
			}
			block(n.Content[i+1], at, comments)
		}
	case yaml.SequenceNode:
		for i, item := range n.Content {
			block(item, fmt.Sprintf("%s[%d]", path, i), comments)
		}
	case yaml.DocumentNode:
		for _, item := range n.Content {
			block(item, path, comments)
		}
	case yaml.AliasNode: // JSON has none
	}
}

// commentText puts "# " before every line of text.
func commentText(text string) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight("# "+line, " ")
	}
	return strings.Join(lines, "\n")
}

// escape writes as \u what JSON leaves as it is and YAML forbids.
func escape(text []byte) []byte {
	var out []byte
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		if r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0xfeff || r == 0xfffe || r == 0xffff {
			out = fmt.Appendf(out, `\u%04x`, r)
		} else {
			out = append(out, text[:size]...)
		}
		text = text[size:]
	}
	return out
}
