package bundle

import (
	"fmt"
	"path/filepath"

	"kasgen/internal/diag"
)

// The codes of a directory that must not be replaced, and of its generations.
const (
	CodeEdited      = "KAS1601" // a file that a person changed
	CodeExtra       = "KAS1602" // a file that kasgen did not write
	CodeForeign     = "KAS1603" // a directory that is no bundle
	CodeBroken      = "KAS1604" // a manifest that cannot be read
	CodeBusy        = "KAS1605" // somebody else is writing
	CodeGeneration  = "KAS1606" // no such generation
	CodeRemains     = "KAS1607" // something old that cannot be removed
	CodeInterrupted = "KAS1608" // a write that was not finished
)

// Guard says what would be replaced that kasgen did not write. Findings other
// than CodeForeign give way to force, and CodeForeign does in a rollback.
func (c *Comparison) Guard(dir string) diag.Findings {
	var fs diag.Findings
	const kept = "replace it with --force (what is there now stays as a generation)"
	if c.Foreign {
		fix := "name a directory that is empty or does not exist"
		if c.From > 0 {
			fix = kept
		}
		fs.Add(diag.Finding{Code: CodeForeign, Pos: diag.Pos{File: dir}, What: "the directory holds files and is no bundle",
			Why: "a bundle replaces its whole directory", Fix: fix})
	}
	if c.Broken != nil {
		fs.Add(diag.Finding{Code: CodeBroken, Pos: diag.Pos{File: dir}, What: "the manifest cannot be read",
			Why: fmt.Sprintf("without it nobody can tell what was changed by hand (%v)", c.Broken), Fix: kept})
	}
	for _, path := range c.Edited.Edited {
		fs.Add(diag.Finding{Code: CodeEdited, Pos: diag.Pos{File: filepath.Join(dir, filepath.FromSlash(path))},
			What: "the file was changed by hand", Why: "it is not what kasgen wrote", Fix: "move the change into kasgen.yaml, or " + kept})
	}
	for _, path := range c.Edited.Extra {
		fs.Add(diag.Finding{Code: CodeExtra, Pos: diag.Pos{File: filepath.Join(dir, filepath.FromSlash(path))},
			What: "the file is not kasgen's", Why: "a bundle replaces its whole directory", Fix: "move it elsewhere, or " + kept})
	}
	return fs
}
