package certsconf

import "kasgen/internal/strictyaml"

// Read parses a certs.yaml. name is the file's name for findings. The error,
// where there is one, is a diag.Findings with every fault.
func Read(name string, data []byte) (*File, error) {
	var f File
	doc, fs := strictyaml.Decode(name, data, &f)
	check(&f, doc, &fs)
	fs.Sort()
	if err := fs.Err(); err != nil {
		return nil, err
	}
	return &f, nil
}
