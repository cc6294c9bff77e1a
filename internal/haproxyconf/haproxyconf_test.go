package haproxyconf

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kasgen/internal/diag"
	"kasgen/internal/judge"
)

func TestWords(t *testing.T) {
	t.Parallel()
	tests := []struct {
		in   string
		want []string
	}{
		{"a b  c\t d", []string{"a", "b", "c", "d"}},
		{`a"b c"d 'e f'g`, []string{"ab cd", "e fg"}},
		{`a\ b \#c \\ \' \" \t\r\n \q \$x`, []string{"a b", "#c", `\`, "'", `"`, "\t\r\n", `\q`, `\$x`}},
		{`"\$x \x41 '" '"\x $y'`, []string{"$x A '", `"\x $y`}},
		{`$HOME ${x} # rest "`, []string{"$HOME", "${x}"}},
		{`a#b`, []string{"a"}},
		{`a "" ''`, []string{"a", "", ""}},
		{`a \`, []string{"a", `\`}},
		{"a b\r", []string{"a", "b"}},
		{`{ req.payload(0,4) -m str "PRI " }`, []string{"{", "req.payload(0,4)", "-m", "str", "PRI ", "}"}},
		{"", nil},
		{"  # c", nil},
	}
	for _, tt := range tests {
		var fs diag.Findings
		l := lexer{file: "h", num: 1, line: []byte(tt.in), fs: &fs}
		words, _ := l.words()
		if fs != nil {
			t.Errorf("%q: %v", tt.in, fs)
			continue
		}
		if diff := cmp.Diff(tt.want, (&Line{Words: words}).valuesOrNil()); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.in, diff)
		}
	}
}

func (l *Line) valuesOrNil() []string {
	if len(l.Words) == 0 {
		return nil
	}
	return l.Values()
}

func TestSectionsAndPositions(t *testing.T) {
	t.Parallel()
	f, err := Parse("h", []byte("global\n  log  'é x' y\n\tfrontend f\nbind :80\n"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range f.Sections {
		got = append(got, "section "+s.Keyword()+" "+s.Name())
		for _, l := range append([]*Line{s.Header}, s.Lines...) {
			for _, w := range l.Words {
				got = append(got, w.Pos.String()+" "+w.Value)
			}
		}
	}
	want := []string{
		"section global ", "h:1:1 global", "h:2:3 log", "h:2:8 é x", "h:2:15 y",
		"section frontend f", "h:3:2 frontend", "h:3:11 f", "h:4:1 bind", "h:4:6 :80",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	in := "x y\nglobal\n 'a\n \"$HOME\"\n \\x4\n a\x00b\n a\rb\n a \\x00\n.if true\n" + strings.Repeat("w ", 65) + "\nend"
	_, err := Parse("h", []byte(in))
	want := `h:1:1: error: KAS2207: unknown keyword "x" out of section
h:3:2: error: KAS2201: unmatched quote '
h:4:3: error: KAS2203: environment variables are not supported inside double quotes
h:5:2: error: KAS2202: truncated or invalid hexadecimal sequence
h:6:3: error: KAS2204: stray NUL byte
h:7:3: error: KAS2204: stray carriage return
h:8:4: error: KAS2204: the word would hold a NUL byte
h:9:1: error: KAS2208: .if is not supported
h:10:129: error: KAS2206: the line has more than 64 words
h:11:4: error: KAS2205: missing newline at the end of the file`
	if err == nil {
		t.Fatal("no error")
	}
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Error(diff)
	}
	var fs diag.Findings
	if errors.As(err, &fs) {
		for _, f := range fs {
			if f.Why == "" || f.Fix == "" {
				t.Errorf("a finding without reason or fix: %v", f)
			}
		}
	}
}

func TestLongLine(t *testing.T) {
	t.Parallel()
	word := strings.Repeat("x", 10<<20)
	f, err := Parse("h", []byte("global\n "+word+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := f.Sections[0].Lines[0].Words[0].Value; got != word {
		t.Errorf("a word of %d bytes came back with %d", len(word), len(got))
	}
}

var ignorePlaces = cmp.Comparer(func(a, b diag.Pos) bool { return true })

func roundTrip(t *testing.T, f *File) {
	t.Helper()
	text := f.Print()
	again, err := Parse(f.Name, text)
	if err != nil {
		t.Fatalf("parsing the printed text: %v\n%s", err, text)
	}
	if diff := cmp.Diff(f, again, ignorePlaces); diff != "" {
		t.Fatalf("parse(print(x)) != x (-want +got):\n%s\nprinted:\n%s", diff, text)
	}
	if twice := again.Print(); string(twice) != string(text) {
		t.Fatalf("printing is not canonical:\n%s\nthen\n%s", text, twice)
	}
}

func TestPrint(t *testing.T) {
	t.Parallel()
	f, err := Parse("h", []byte("# top\nglobal # g\n  log \"a b\"   it\\'s\n# f\nfrontend x\n bind :80\n# end"+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := "# top\nglobal # g\n    log 'a b' \"it's\"\n\n# f\nfrontend x\n    bind :80\n# end\n"
	if diff := cmp.Diff(want, string(f.Print())); diff != "" {
		t.Error(diff)
	}
	roundTrip(t, f)
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"global\n log 'a b' # c\n", "#x\nlisten a\n\\x41\\\\ \"\\$\"\n#y\n", "backend \xff \x7f\n", "global\n \"a\"'b'\\\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse("h", data)
		if err != nil {
			var fs diag.Findings
			if !errors.As(err, &fs) || len(fs) == 0 {
				t.Fatalf("error without findings: %v", err)
			}
			return
		}
		roundTrip(t, file)
	})
}

// accepter tells whether the real HAProxy accepts a file.
func accepter(t *testing.T) func(t *testing.T, conf string) (bool, string) {
	t.Helper()
	bin := judge.Find(t, "haproxy")
	return func(t *testing.T, conf string) (bool, string) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "haproxy.cfg")
		if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(bin, "-c", "-f", file).CombinedOutput()
		return err == nil, string(out)
	}
}

func TestAcceptsWhatHAProxyAccepts(t *testing.T) {
	t.Parallel()
	accepts := accepter(t)
	const frame = "defaults\n mode tcp\n timeout connect 1s\n timeout client 1s\n timeout server 1s\nlisten a\n bind 127.0.0.1:1234\n"
	// `description` takes any words, so that only syntax differs.
	snippets := []string{
		" description a b\n", " description 'a b'\n", " description \"a b\"\n", " description 'a\n", " description \"a\n", " description a\\ b\n",
		" description \\x41\n", " description \\x4\n", " description \\xzz\n", " description \\q\n", " description a\"b'c\"d\n", " description a # 'b\n",
		" description a", " description a\r\n", " description \"\\$HOME\"\n", " description $HOME\n", " description ${HOME}\n", " description '$HOME'\n",
		" description \\\n", " description " + strings.Repeat("w ", 62) + "\n", " description " + strings.Repeat("w ", 70) + "\n",
		" description " + strings.Repeat("x", 70000) + "\n", " description a\x00b\n", "# \x00\n", "\n\n\t\n", " backend b\n", " description 'a'b\"c\"\n", "# end",
	}
	for _, s := range snippets {
		want, out := accepts(t, frame+s)
		_, err := Parse("h", []byte(frame+s))
		if got := err == nil; got != want {
			t.Errorf("%.60q: accepted is %v, haproxy says %v\n%s(%v)", s, got, want, out, err)
		}
	}
	if want, out := accepts(t, "bind :80\n"); want {
		t.Errorf("haproxy accepts a line outside a section: %s", out)
	}
}
