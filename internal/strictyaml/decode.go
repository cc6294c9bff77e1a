package strictyaml

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"kasgen/internal/diag"
)

// root decodes a document node.
func (d *decoder) root(n *yaml.Node, into any) {
	d.open = map[*yaml.Node]bool{}
	v := reflect.ValueOf(into).Elem()
	for n.Kind == yaml.DocumentNode {
		if len(n.Content) == 0 {
			return
		}
		n = n.Content[0]
	}
	d.value(n, v, "")
}

// value decodes n, which is at path, into v.
func (d *decoder) value(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind == yaml.AliasNode {
		d.alias(n, func(target *yaml.Node) { d.value(target, v, path) })
		return
	}
	if d.depth > 0 && !d.spend(n) {
		return
	}
	if n.Anchor != "" {
		d.open[n] = true
		defer delete(d.open, n)
	}
	if isNull(n) {
		return
	}
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		d.value(n, v.Elem(), path)
		return
	}
	if d.unmarshal(n, v, path) {
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.structure(n, v, path)
	case reflect.Slice:
		d.list(n, v, path)
	case reflect.Map:
		d.dictionary(n, v, path)
	default:
		d.scalar(n, v, path)
	}
}

// alias follows an alias once, unless it leads back into itself or the
// document has used up what aliases may add.
func (d *decoder) alias(n *yaml.Node, visit func(*yaml.Node)) {
	if d.open[n.Alias] {
		d.add(CodeAlias, n, fmt.Sprintf("the alias *%s is inside what it stands for", n.Value),
			"it would never end", "write the value out")
		return
	}
	d.depth++
	visit(n.Alias)
	d.depth--
}

// spend counts a node that an alias added, and says whether it may be visited.
func (d *decoder) spend(n *yaml.Node) bool {
	d.aliased++
	if d.aliased == maxAliased+1 {
		d.add(CodeAlias, n, fmt.Sprintf("aliases add more than %d values to the document", maxAliased),
			"such a document exists only to exhaust its reader", "write the values out")
	}
	return d.aliased <= maxAliased
}

// unmarshal hands a scalar to the type's own method, if it has one.
func (d *decoder) unmarshal(n *yaml.Node, v reflect.Value, path string) bool {
	if !v.CanAddr() {
		return false
	}
	var err error
	switch u := v.Addr().Interface().(type) {
	case encoding.TextUnmarshaler:
		if n.Kind != yaml.ScalarNode {
			d.wrongType(n, path, "a text")
			return true
		}
		err = u.UnmarshalText([]byte(n.Value))
	case json.Unmarshaler:
		if n.Kind != yaml.ScalarNode {
			d.wrongType(n, path, "a single value")
			return true
		}
		err = u.UnmarshalJSON(scalarJSON(n))
	default:
		return false
	}
	if err != nil {
		d.badValue(n, path, err)
	}
	return true
}

// structure decodes a mapping into a struct.
func (d *decoder) structure(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		d.wrongType(n, path, "a mapping of keys")
		return
	}
	fields := fieldsOf(v.Type())
	written := map[string]bool{}
	var meant []string // keys that unknown ones may stand for
	for key, value := range d.pairs(n) {
		at, known := fields.index[key.Value]
		if !known || key.Kind != yaml.ScalarNode {
			meant = append(meant, d.unknown(key, path, fields.names))
			continue
		}
		written[key.Value] = true
		d.place(key, value, join(path, key.Value))
		d.value(value, v.FieldByIndex(at), join(path, key.Value))
	}
	for _, key := range meant {
		// It is there under a wrong name, so that it is missing is no fault of
		// its own. One that is there under its right name too has its own faults.
		if key != "" && !written[key] {
			d.doc.faulty[join(path, key)] = true
		}
	}
}

// list decodes a sequence into a slice.
func (d *decoder) list(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.SequenceNode {
		d.wrongType(n, path, "a list")
		return
	}
	list := reflect.MakeSlice(v.Type(), 0, min(len(n.Content), maxAliased))
	for i, item := range n.Content {
		if d.aliased > maxAliased {
			return
		}
		at := fmt.Sprintf("%s[%d]", path, i)
		if isNull(item) {
			d.report(diag.Finding{
				Code: CodeType, Pos: d.doc.node(item), Field: at, What: at + " is empty",
				Why: "a list holds values, and this item has none", Fix: "give it a value or remove it",
			})
			continue
		}
		d.place(item, item, at)
		element := reflect.New(v.Type().Elem()).Elem()
		d.value(item, element, at)
		list = reflect.Append(list, element)
	}
	v.Set(list)
}

// dictionary decodes a mapping into a map with text keys.
func (d *decoder) dictionary(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		d.wrongType(n, path, "a mapping of keys")
		return
	}
	entries := reflect.MakeMap(v.Type())
	for key, value := range d.pairs(n) {
		if key.Kind != yaml.ScalarNode {
			d.wrongType(key, path, "a text as key")
			continue
		}
		d.place(key, value, join(path, key.Value))
		element := reflect.New(v.Type().Elem()).Elem()
		d.value(value, element, join(path, key.Value))
		entries.SetMapIndex(reflect.ValueOf(key.Value).Convert(v.Type().Key()), element)
	}
	v.Set(entries)
}

// place remembers where the field at path was written: its key where the
// value is a block below it, else the value.
func (d *decoder) place(key, value *yaml.Node, path string) {
	if isNull(value) {
		return
	}
	at := value
	if value.Kind != yaml.ScalarNode && value.Style&yaml.FlowStyle == 0 {
		at = key
	}
	d.doc.places[path] = at
}

// unknown reports a key and returns the known one that may be meant, or "".
func (d *decoder) unknown(key *yaml.Node, path string, names []string) string {
	fix := "remove it; the keys here are " + strings.Join(names, ", ")
	near := diag.Nearest(key.Value, names)
	if near != "" {
		fix = fmt.Sprintf("write %q, or remove it", near)
	}
	what := fmt.Sprintf("unknown key %s", quote(key.Value))
	if path != "" {
		what += " in " + path
	}
	d.report(diag.Finding{
		Code: CodeUnknown, Pos: d.doc.node(key), Field: join(path, clip(key.Value)), What: what,
		Why: "a key that is not known would have no effect", Fix: fix,
	})
	return near
}

func (d *decoder) add(code string, n *yaml.Node, what, why, fix string) {
	d.report(diag.Finding{Code: code, Pos: d.doc.node(n), What: what, Why: why, Fix: fix})
}

// report adds a finding. Past maxFindings the file is not what it was taken
// for, and a last finding says so.
func (d *decoder) report(f diag.Finding) {
	if f.Code == CodeType || f.Code == CodeValue {
		d.doc.faulty[f.Field] = true
	}
	switch {
	case len(d.findings) < maxFindings:
		d.findings.Add(f)
	case len(d.findings) == maxFindings:
		d.findings.Add(diag.Finding{
			Code: CodeSize, Pos: f.Pos, What: fmt.Sprintf("more than %d faults; those that follow are not listed", maxFindings),
			Why: "a file with so many faults is most likely another file", Fix: "check the path, or repair the first ones and try again",
		})
	}
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// fields are the keys of a struct.
type fields struct {
	index map[string][]int
	names []string // sorted
}

// fieldsOf lists the json names of a struct, those of embedded structs with
// them.
func fieldsOf(t reflect.Type) fields {
	fs := fields{index: map[string][]int{}}
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" || !f.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		fs.index[name] = f.Index
		fs.names = append(fs.names, name)
	}
	slices.Sort(fs.names)
	return fs
}
