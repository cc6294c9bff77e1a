package certsconf

import "kasgen/internal/strictyaml"

// Write is the canonical text of f. comment becomes the first lines and may
// be empty; notes holds comments by field path ("acme.cache").
func Write(f *File, comment string, notes map[string]string) []byte {
	comments := map[string]string{"": comment}
	for path, note := range notes {
		comments[path] = note
	}
	return strictyaml.Encode(f, comments)
}
