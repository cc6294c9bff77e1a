package omnibus

import (
	"bytes"
	"strings"
)

// readLine is the line of gitlab.rb that reads our keys. It stays the last one:
// texts and lists of the user's are then there before ours.
const readLine = "from_file '" + Directory + "/" + RubyPath + "'"

// comment says whose the line is, for people who find it.
const comment = "# Written by `kasgen omnibus install`; a line below it wins over what it reads."

// hasLine says whether a gitlab.rb reads our keys.
func hasLine(text []byte) bool {
	for _, l := range strings.Split(string(text), "\n") {
		if strings.TrimSpace(l) == readLine {
			return true
		}
	}
	return false
}

// withLine is a gitlab.rb that reads our keys.
func withLine(text []byte) []byte {
	if hasLine(text) {
		return text
	}
	out := bytes.Clone(text)
	if len(out) > 0 && out[len(out)-1] != '\n' {
		// Taking the line out again restores the missing end of the last line:
		// the mark is this very comment.
		return append(out, "\n"+comment+" (no newline before)\n"+readLine+"\n"...)
	}
	return append(out, comment+"\n"+readLine+"\n"...)
}

// withoutLine is a gitlab.rb that does not, byte for byte as it was before. What
// has since been written below our lines stays a line of its own.
func withoutLine(text []byte) []byte {
	before, after, ours := strings.Cut(string(text), "\n"+comment+" (no newline before)\n"+readLine+"\n")
	if after != "" {
		before += "\n"
	}
	s := before + after
	if !ours {
		s = strings.Replace(s, comment+"\n"+readLine+"\n", "", 1)
	}
	var kept []string
	for _, l := range strings.Split(s, "\n") {
		if strings.TrimSpace(l) != readLine { // somebody wrote it himself
			kept = append(kept, l)
		}
	}
	return []byte(strings.Join(kept, "\n"))
}
