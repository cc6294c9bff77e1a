package kasconf

import (
	"slices"

	"kasgen/internal/diag"
	"kasgen/internal/strictyaml"
)

// Read parses a kas-config.yaml. name is the file's name for findings. The
// error, where there is one, is a diag.Findings with every fault. A file
// without Redis is accepted, since the embedded kas can do without; see
// CheckGitLab.
func Read(name string, data []byte) (*File, error) {
	f, _, _, err := ReadPlaced(Source{name, data})
	return f, err
}

// Source is a text with a name for findings.
type Source struct {
	Name string
	Data []byte
}

// Places knows where the fields of a file that was read from several sources
// were written.
type Places []*strictyaml.Doc

// Pos is the place of the field at path in the last source that has it, or of
// its nearest parent in the first.
func (p Places) Pos(path string) diag.Pos {
	for _, d := range slices.Backward(p) {
		if d.Has(path) {
			return d.Pos(path)
		}
	}
	return p[0].Pos(path)
}

// Has says whether a source sets the field at path.
func (p Places) Has(path string) bool {
	return slices.ContainsFunc(p, func(d *strictyaml.Doc) bool { return d.Has(path) })
}

func (p Places) faulty(path string) bool {
	return slices.ContainsFunc(p, func(d *strictyaml.Doc) bool { return d.Faulty(path) })
}

// ReadPlaced is Read with the places of the fields, for findings of whoever
// runs the file. Each source is laid over those before it: what it leaves out
// or sets to null stays, sections join, a list takes the place of a list.
//
// A single source that names config.command is not the whole: what kas would
// miss in it are warnings then, since the command may add it.
func ReadPlaced(sources ...Source) (*File, Places, diag.Findings, error) {
	var f File
	var fs diag.Findings
	var places Places
	for _, s := range sources {
		doc, found := strictyaml.Decode(s.Name, s.Data, &f)
		places = append(places, doc)
		fs = append(fs, found...)
	}
	check(&f, places, &fs)
	if len(sources) == 1 && f.Config != nil && f.Config.Command != "" {
		for i := range fs {
			if slices.Contains([]string{CodeRequired, CodePair, CodeRedis, CodeRefresh}, fs[i].Code) {
				fs[i].Severity = diag.Warning
				fs[i].Why += ", unless config.command adds what is missing, which is not known before it has run"
			}
		}
	}
	fs.Sort()
	if err := fs.Err(); err != nil {
		return nil, nil, nil, err
	}
	return &f, places, fs, nil
}

// Write is the canonical text of f. comment becomes the first lines and may
// be empty; notes holds comments by field path ("agent.listen").
func Write(f *File, comment string, notes map[string]string) []byte {
	comments := map[string]string{"": comment}
	for path, note := range notes {
		comments[path] = note
	}
	return strictyaml.Encode(f, comments)
}
