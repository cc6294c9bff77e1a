// Package strictyaml owns the way between one YAML document and Go structs
// with json tags, as sigs.k8s.io/yaml goes it, but strictly and with places:
// unknown and repeated keys, wrong types and bad values are findings with line
// and column, all of them in one pass; writing keeps the order of fields. It knows no file format and
// none of its fields. Its law: whatever the bytes are, Decode neither panics
// nor takes long; what Encode or sigs.k8s.io/yaml writes it reads back to the same
// value; null is unset.
package strictyaml

import (
	"slices"

	"kasgen/internal/diag"
)

// The codes of what can be wrong with any YAML file.
const (
	CodeSyntax    = "KAS1001" // not YAML
	CodeBytes     = "KAS1002" // a byte that no YAML file may hold
	CodeSize      = "KAS1003" // longer than MaxBytes
	CodeDocuments = "KAS1004" // more than one document
	CodeUnknown   = "KAS1005" // a key that the format does not have
	CodeDuplicate = "KAS1006" // a key twice in one mapping
	CodeType      = "KAS1007" // a mapping where a number belongs, and so on
	CodeValue     = "KAS1008" // a value that its type refuses
	CodeAlias     = "KAS1009" // aliases that expand without end
)

// MaxBytes is the longest file that is looked at. Configuration written by
// people is a few KiB; the limit bounds what a hostile file costs.
const MaxBytes = 256 << 10

// maxFindings is how many faults one file can have before the rest is cut.
const maxFindings = 500

// maxAliased is how many nodes aliases may add to a document, which bounds
// the "billion laughs" expansion.
const maxAliased = 10_000

// ValueError is what an UnmarshalText or UnmarshalJSON method returns when it
// can say more than that the value is wrong.
type ValueError struct {
	What string // what is wrong, without the value's place
	Why  string
	Fix  string
}

func (e *ValueError) Error() string { return e.What }

// Decode reads the one document in data into the struct that into points to.
// Fields that the document leaves out, or sets to null, keep their values, so
// that into may hold defaults. Findings name file as their file; with
// findings, into holds what could be decoded. The Doc is never nil.
func Decode(file string, data []byte, into any) (*Doc, diag.Findings) {
	d := &decoder{doc: newDoc(file, data)}
	if root := d.parse(data); root != nil {
		d.root(root, into)
	}
	d.findings.Sort()
	// What an alias repeats is reported once.
	return d.doc, slices.Compact(d.findings)
}
