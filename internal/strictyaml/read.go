package strictyaml

import "kasgen/internal/diag"

// Checker looks at the values of a file that has the right form.
type Checker struct {
	doc      *Doc
	findings *diag.Findings
}

// Read decodes a whole file and has check look at its values. name is the
// file's name for findings. The error, where there is one, is a diag.Findings
// with every fault.
func Read[T any](name string, data []byte, check func(*Checker, *T)) (*T, error) {
	var f T
	doc, fs := Decode(name, data, &f)
	check(&Checker{doc, &fs}, &f)
	fs.Sort()
	if err := fs.Err(); err != nil {
		return nil, err
	}
	return &f, nil
}

// Add adds an error about a field, but for one that could not be decoded: what
// it holds is zero, and that has been told.
func (c *Checker) Add(code, field, what, why, fix string) {
	if c.doc.Faulty(field) {
		return
	}
	c.findings.Add(diag.Finding{Code: code, Pos: c.doc.Pos(field), Field: field, What: what, Why: why, Fix: fix})
}
