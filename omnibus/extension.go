package omnibus

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"kasgen/generator/target"
)

// Refused is the exit code that stops a reconfigure. It is none that a program
// has by chance: not that of a panic, of a shell or of a signal.
const Refused = 86

// hookSeconds is how long a hook may take, so that nobody takes a package
// upgrade for hung.
const hookSeconds = 90

// askLimit is how long the pre hook asks others. What they have not said by then
// proves nothing, and the rest of the hook's time is enough to place the files.
const askLimit = 50 * time.Second

// binaryLine is the line of the extension that names the binary.
var binaryLine = regexp.MustCompile(`(?m)^  kasgen_binary = '((?:[^'\\]|\\.)*)'$`)

// installedBinary is kasgen's path as it was installed, or the usual one.
func (h host) installedBinary() string {
	text, _, err := h.read(extensionFile)
	if m := binaryLine.FindSubmatch(text); err == nil && m != nil {
		return strings.NewReplacer(`\\`, `\`, `\'`, `'`).Replace(string(m[1]))
	}
	return "/usr/local/bin/kasgen"
}

// extension is the file for gitlab-ctl.
func extension(binary string) ([]byte, error) {
	return target.Execute("omnibus/extension.rb.tmpl", literal, map[string]string{
		"Header": "Extension of gitlab-ctl, written by `kasgen omnibus install`.",
		"Binary": binary, "Bundle": Directory,
		"Refused": fmt.Sprint(Refused), "Seconds": fmt.Sprint(hookSeconds),
	})
}
