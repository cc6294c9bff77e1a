package bundle

import (
	"fmt"
	"path/filepath"

	"kasgen/internal/diag"
)

// The codes of a directory that must not be replaced.
const (
	CodeEdited  = "KAS1601" // a file that a person changed
	CodeExtra   = "KAS1602" // a file that kasgen did not write
	CodeForeign = "KAS1603" // a directory that is no bundle
	CodeBroken  = "KAS1604" // a manifest that cannot be read
)

// Guard says what would be lost if dir were replaced. Findings other than
// CodeForeign give way to force.
func (c *Comparison) Guard(dir string) diag.Findings {
	var fs diag.Findings
	const keep = "move the change into kasgen.yaml, or replace it with --force (the old directory stays beside the new one)"
	if c.Foreign {
		fs.Add(diag.Finding{Code: CodeForeign, Pos: diag.Pos{File: dir}, What: "the directory holds files and is no bundle",
			Why: "a bundle replaces its whole directory", Fix: "name a directory that is empty or does not exist"})
	}
	if c.Broken != nil {
		fs.Add(diag.Finding{Code: CodeBroken, Pos: diag.Pos{File: dir}, What: "the manifest cannot be read",
			Why: fmt.Sprintf("without it nobody can tell what was changed by hand (%v)", c.Broken), Fix: keep})
	}
	for _, path := range c.Edited.Edited {
		fs.Add(diag.Finding{Code: CodeEdited, Pos: diag.Pos{File: filepath.Join(dir, filepath.FromSlash(path))},
			What: "the file was changed by hand", Why: "it is not what kasgen wrote", Fix: keep})
	}
	for _, path := range c.Edited.Extra {
		fs.Add(diag.Finding{Code: CodeExtra, Pos: diag.Pos{File: filepath.Join(dir, filepath.FromSlash(path))},
			What: "the file is not kasgen's", Why: "a bundle replaces its whole directory", Fix: "move it elsewhere, or replace the directory with --force (the old one stays beside the new one)"})
	}
	return fs
}
