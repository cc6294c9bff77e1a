package omnibus

import "testing"

// TestLine puts our lines into a gitlab.rb and takes them out again, with what
// somebody has written below them meanwhile.
func TestLine(t *testing.T) {
	t.Parallel()
	for before, after := range map[string]struct{ below, want string }{
		"":            {"", ""},
		"a 'b'\n":     {"", "a 'b'\n"},
		"a 'b'":       {"", "a 'b'"},
		"a 'b' ":      {"c 'd'\n", "a 'b' \nc 'd'\n"},
		"a 'b'\n\n":   {"c 'd'", "a 'b'\n\nc 'd'"},
		"\n\na 'b'\n": {"\n", "\n\na 'b'\n\n"},
	} {
		with := withLine([]byte(before))
		if !hasLine(with) {
			t.Errorf("%q has no line", with)
		}
		if again := withLine(with); string(again) != string(with) {
			t.Errorf("%q has it twice", again)
		}
		if got := withoutLine(append(with, after.below...)); string(got) != after.want {
			t.Errorf("%q with %q below: %q, want %q", before, after.below, got, after.want)
		}
	}
	if got := withoutLine([]byte("a\n  " + readLine + " \nb\n")); string(got) != "a\nb\n" {
		t.Errorf("a line that somebody wrote himself: %q", got)
	}
}
