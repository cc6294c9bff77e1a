package schema

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"reflect"
	"regexp"
	"strings"
)

// comments are what a package's text says about its types and their fields.
type comments struct {
	types  map[string]string            // by name
	fields map[string]map[string]string // by type and field
	keys   map[string]string            // fields' names in Go, and in YAML
}

// readComments reads the Go files of a package, tests aside.
func readComments(dir fs.FS) (comments, error) {
	c := comments{types: map[string]string{}, fields: map[string]map[string]string{}, keys: map[string]string{}}
	files, err := fs.Glob(dir, "*.go")
	if err != nil {
		return c, err
	}
	set := token.NewFileSet()
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := fs.ReadFile(dir, name)
		if err != nil {
			return c, err
		}
		file, err := parser.ParseFile(set, name, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return c, err
		}
		for _, decl := range file.Decls {
			if d, ok := decl.(*ast.GenDecl); ok && d.Tok == token.TYPE {
				for _, s := range d.Specs {
					c.declared(d, s.(*ast.TypeSpec))
				}
			}
		}
	}
	return c, nil
}

// declared reads one type.
func (c comments) declared(d *ast.GenDecl, s *ast.TypeSpec) {
	doc := s.Doc
	if doc == nil {
		doc = d.Doc
	}
	c.types[s.Name.Name] = doc.Text()
	structure, ok := s.Type.(*ast.StructType)
	if !ok {
		return
	}
	fields := map[string]string{}
	for _, f := range structure.Fields.List {
		words := f.Doc.Text()
		if words == "" {
			words = f.Comment.Text()
		}
		for _, name := range f.Names {
			fields[name.Name] = words
			if f.Tag != nil {
				key, _, _ := strings.Cut(reflect.StructTag(strings.Trim(f.Tag.Value, "`")).Get("json"), ",")
				c.keys[name.Name] = key
			}
		}
	}
	c.fields[s.Name.Name] = fields
}

// ofField is what is said beside a field, or else about its type.
func (c comments) ofField(t reflect.Type, f reflect.StructField) string {
	of := f.Type
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
		of = of.Elem()
	}
	kind := c.ofType(of)
	words := c.words(c.fields[t.Name()][f.Name], f.Name)
	switch {
	case words == "":
		return kind
	case kind != "" && (strings.HasPrefix(words, "empty: ") || strings.HasPrefix(words, "null: ")):
		return kind + "; " + words
	default:
		return words
	}
}

// ofType is what is said about a type, without the type's name.
func (c comments) ofType(t reflect.Type) string { return c.words(c.types[t.Name()], t.Name()) }

var (
	word   = regexp.MustCompile(`\b[A-Za-z]+(?:\.[A-Z][A-Za-z]*)*\b`)
	spaces = regexp.MustCompile(`\s+`)
)

// words turns a comment for readers of Go into one for readers of YAML: it does
// not begin with the name that it is about, and fields have the names that they
// have there.
func (c comments) words(text, about string) string {
	text = strings.TrimSpace(spaces.ReplaceAllString(text, " "))
	for _, verb := range []string{" is ", " are ", " says ", " takes ", " finds ", " keeps "} {
		if rest, ok := strings.CutPrefix(text, about+verb); ok {
			if verb == " is " || verb == " are " {
				verb = " "
			}
			text = strings.TrimSpace(verb) + " " + rest
			break
		}
	}
	text = strings.TrimSuffix(strings.TrimSpace(text), ".")
	return word.ReplaceAllStringFunc(text, func(w string) string {
		parts := strings.Split(w, ".")
		for i, p := range parts {
			key, ok := c.keys[p]
			// A word in capitals, such as TLS, is one of English, too, and so are
			// names of programs.
			if !ok || len(parts) == 1 && (p == strings.ToUpper(p) || p == "GitLab" || p == "Redis" || p == "Nginx") {
				return w
			}
			parts[i] = key
		}
		return strings.Join(parts, ".")
	})
}
