package kasconf

import "kasgen/internal/strictyaml"

// Read parses a kas-config.yaml. name is the file's name for findings. The
// error, where there is one, is a diag.Findings with every fault. A file
// without Redis is accepted, since the embedded kas can do without; see
// CheckGitLab.
func Read(name string, data []byte) (*File, error) {
	f, _, err := ReadPlaced(name, data)
	return f, err
}

// ReadPlaced is Read with the places of the fields, for findings of whoever
// runs the file.
func ReadPlaced(name string, data []byte) (*File, *strictyaml.Doc, error) {
	var f File
	doc, fs := strictyaml.Decode(name, data, &f)
	check(&f, doc, &fs)
	fs.Sort()
	if err := fs.Err(); err != nil {
		return nil, nil, err
	}
	return &f, doc, nil
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
