// Package manifest reads Kubernetes objects as strictly as an API server that
// is asked to validate: no key twice, no field that the kind does not have. It
// knows no chart and judges no value. Its law: an object that it gives has every
// key that its text has.
package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	certmanager "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	"gopkg.in/yaml.v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	gatewayv1alpha2 "sigs.k8s.io/gateway-api/apis/v1alpha2"
	gatewayv1alpha3 "sigs.k8s.io/gateway-api/apis/v1alpha3"
	gatewayv1beta1 "sigs.k8s.io/gateway-api/apis/v1beta1"
	kjson "sigs.k8s.io/json"
	k8syaml "sigs.k8s.io/yaml"

	"kasgen/internal/diag"
)

// Codes of what is wrong with a manifest.
const (
	CodeSyntax = "KAS6101" // no YAML, or no object
	CodeTwice  = "KAS6102" // a key twice
	CodeField  = "KAS6103" // a field that the kind does not have, or a wrong type
	CodeObject = "KAS6104" // an object twice
)

// Object is one of Kubernetes' objects.
type Object struct {
	metav1.TypeMeta
	Name, Namespace     string
	Labels, Annotations map[string]string
	Pos                 diag.Pos       // where it begins
	Text                []byte         // as it was written
	Tree                map[string]any // all of it
	Typed               runtime.Object // nil for a kind without types here
}

// ID tells objects apart.
func (o *Object) ID() string {
	group, _, _ := strings.Cut(o.APIVersion, "/")
	if !strings.Contains(o.APIVersion, "/") {
		group = ""
	}
	return strings.Join([]string{group, o.Kind, o.Namespace, o.Name}, "/")
}

// Title is how people call it.
func (o *Object) Title() string { return o.Kind + " " + o.Name }

// Reader reads manifests; its types are Kubernetes', Gateway API's and
// cert-manager's.
type Reader struct{ types *runtime.Scheme }

// NewReader is a reader.
func NewReader() (*Reader, error) {
	r := &Reader{types: runtime.NewScheme()}
	return r, errors.Join(scheme.AddToScheme(r.types), gatewayv1.Install(r.types), gatewayv1beta1.Install(r.types),
		gatewayv1alpha2.Install(r.types), gatewayv1alpha3.Install(r.types), certmanager.AddToScheme(r.types))
}

// Read is every object of a file.
func (r *Reader) Read(name string, text []byte) ([]*Object, diag.Findings) {
	var list []*Object
	var findings diag.Findings
	for _, d := range documents(text) {
		o, found := r.document(name, d)
		findings = append(findings, found...)
		if o != nil {
			list = append(list, o)
		}
	}
	return list, findings
}

// document is one text between separators.
type document struct {
	text []byte
	line int // of its first line, from 1
}

func documents(text []byte) []document {
	list := []document{{line: 1}}
	n := 0
	for line := range bytes.Lines(text) {
		n++
		if s := bytes.TrimRight(line, " \t\r\n"); bytes.Equal(s, []byte("---")) || bytes.HasPrefix(line, []byte("--- ")) {
			list = append(list, document{line: n + 1})
			continue
		}
		last := &list[len(list)-1]
		last.text = append(last.text, line...)
	}
	return list
}

func (r *Reader) document(name string, d document) (*Object, diag.Findings) {
	var findings diag.Findings
	fault := func(code string, line int, field, what, why, fix string) {
		findings.Add(diag.Finding{Code: code, Pos: diag.Pos{File: name, Line: max(d.line+line-1, 1), Column: 1}, Field: field, What: what, Why: why, Fix: fix})
	}
	var root yaml.Node
	if err := yaml.Unmarshal(d.text, &root); err != nil {
		fault(CodeSyntax, 1, "", "no YAML: "+strings.TrimPrefix(err.Error(), "yaml: "), "Helm sends what templates give as it is, so that the install fails here", "look for a value that breaks the template's indentation or quotes")
		return nil, findings
	}
	if root.Kind == 0 || len(root.Content) == 1 && root.Content[0].Tag == "!!null" {
		return nil, nil
	}
	twice(root.Content[0], "", func(n *yaml.Node, field string) {
		fault(CodeTwice, n.Line, field, fmt.Sprintf("%s is there twice", field),
			"a strict reader refuses the object, and another one takes one of the two in silence",
			"remove the value that adds a key which the template writes already")
	})
	data, err := k8syaml.YAMLToJSON(d.text)
	if err != nil {
		if len(findings) == 0 {
			fault(CodeSyntax, 1, "", "no object: "+err.Error(), "Kubernetes takes objects", "look at the values that the template uses")
		}
		return nil, findings
	}
	o := &Object{Pos: diag.Pos{File: name, Line: d.line, Column: 1}, Text: d.text}
	var meta metav1.PartialObjectMetadata
	err = kjson.UnmarshalCaseSensitivePreserveInts(data, &o.Tree)
	if err == nil {
		if err = kjson.UnmarshalCaseSensitivePreserveInts(data, &meta); err != nil {
			fault(CodeField, 1, "metadata", "its metadata has a wrong type: "+err.Error(), "an API server refuses it", "write labels and annotations as text, with quotes")
			return nil, findings
		}
	}
	if err != nil || meta.Kind == "" || meta.APIVersion == "" || meta.Name == "" {
		fault(CodeSyntax, 1, "", "no object of Kubernetes: it has no apiVersion, kind or name", "Helm sends what templates give as it is, so that the install fails here", "look at the values that the template uses")
		return nil, findings
	}
	o.TypeMeta, o.Name, o.Namespace, o.Labels, o.Annotations = meta.TypeMeta, meta.Name, meta.Namespace, meta.Labels, meta.Annotations
	typed, err := r.types.New(schema.FromAPIVersionAndKind(o.APIVersion, o.Kind))
	if err != nil {
		return o, findings // a kind of somebody else's
	}
	loose, err := kjson.UnmarshalStrict(data, typed)
	if err != nil {
		loose = append(loose, err)
	}
	for _, err := range loose {
		if strings.HasPrefix(err.Error(), "duplicate field") {
			continue
		}
		fault(CodeField, 1, "", fmt.Sprintf("%s: %v", o.Title(), err), "an API server refuses it, or drops the field", "look at the value that the template has there")
	}
	o.Typed = typed
	return o, findings
}

// twice finds keys that a mapping has more than once.
func twice(n *yaml.Node, at string, found func(n *yaml.Node, field string)) {
	switch n.Kind {
	case yaml.MappingNode:
		var seen []string
		for i := 0; i+1 < len(n.Content); i += 2 {
			key := n.Content[i]
			field := strings.TrimPrefix(at+"."+key.Value, ".")
			if slices.Contains(seen, key.Value) {
				found(key, field)
			}
			seen = append(seen, key.Value)
			twice(n.Content[i+1], field, found)
		}
	case yaml.SequenceNode:
		for i, c := range n.Content {
			twice(c, fmt.Sprintf("%s[%d]", at, i), found)
		}
	default: // texts, and aliases of what was looked at already
	}
}

// Doubles finds objects that are there twice.
func Doubles(list []*Object) diag.Findings {
	var findings diag.Findings
	seen := map[string]*Object{}
	for _, o := range list {
		if first, ok := seen[o.ID()]; ok {
			findings.Add(diag.Finding{Code: CodeObject, Pos: o.Pos, What: fmt.Sprintf("%s is there twice, also in %s", o.Title(), first.Pos.File),
				Why: "Helm installs neither, or one of the two wins", Fix: "leave one of them out"})
			continue
		}
		seen[o.ID()] = o
	}
	return findings
}
