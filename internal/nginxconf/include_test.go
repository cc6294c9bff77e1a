package nginxconf

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"kasgen/internal/diag"
)

// tree is a source of files by absolute names.
func tree(files map[string]string) Source {
	m := fstest.MapFS{}
	for name, text := range files {
		m[name[1:]] = &fstest.MapFile{Data: []byte(text)}
	}
	return Source{
		ReadFile: func(path string) ([]byte, error) {
			b, err := m.ReadFile(path[1:])
			if errors.Is(err, fs.ErrNotExist) {
				err = fs.ErrNotExist
			}
			return b, err
		},
		Glob: func(pattern string) ([]string, error) {
			var out []string
			for name := range files {
				if ok, err := filepath.Match(pattern, name); err != nil {
					return nil, err
				} else if ok {
					out = append(out, name)
				}
			}
			return out, nil
		},
	}
}

func expand(t *testing.T, files map[string]string) (*File, diag.Findings) {
	t.Helper()
	f, err := Parse("/etc/n/main.conf", []byte(files["/etc/n/main.conf"]))
	if err != nil {
		t.Fatal(err)
	}
	return f.Expand(tree(files))
}

func TestExpand(t *testing.T) {
	t.Parallel()
	f, err := expand(t, map[string]string{
		"/etc/n/main.conf":   "# top\na;\n# of the include\ninclude d/*.conf; # behind\nhttp { types { include mime; } b; include /abs; # end\n}\ninclude none/*.conf; # nothing\n# last\n",
		"/etc/n/d/2.conf":    "two;\n",
		"/etc/n/d/1.conf":    "one; # 1\ninclude d/sub/x;\n# tail\n",
		"/etc/n/d/sub/x":     "x {\n y;\n}\n",
		"/etc/n/mime":        "text/html html;",
		"/abs":               "# only\n",
		"/etc/n/d/other.txt": "no;",
	})
	if len(err) > 0 {
		t.Fatal(err)
	}
	want := `# top
a;
# of the include
# behind
one; # 1
x {
    y;
}
# tail
two;
http {
    types {
        text/html html;
    }
    b;
    # end
    # only
}
# nothing
# last
`
	if diff := cmp.Diff(want, string(f.Print())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := f.Directives[2].Block.Directives[0].Name.Pos.String(); got != "/etc/n/d/sub/x:2:2" {
		t.Errorf("an included word stands at %s", got)
	}
	if f.Includes() {
		t.Error("an include is left")
	}
	roundTrip(t, f)
}

func TestExpandFaults(t *testing.T) {
	t.Parallel()
	_, fs := expand(t, map[string]string{
		"/etc/n/main.conf": "include gone;\ninclude;\ninclude a b;\ninclude x { }\ninclude bad;\nhttp { include one; }\ninclude [;\ninclude '';",
		"/etc/n/bad":       "a b }\n",
		"/etc/n/one":       "b;\ninclude two;",
		"/etc/n/two":       "http { include /etc/n/one; }",
	})
	want := `/etc/n/main.conf:1:9: error: KAS2106: including "gone": file does not exist
/etc/n/main.conf:2:1: error: KAS2106: "include" takes one file or pattern
/etc/n/main.conf:3:1: error: KAS2106: "include" takes one file or pattern
/etc/n/main.conf:4:1: error: KAS2106: "include" takes one file or pattern
/etc/n/bad:1:5: error: KAS2101: unexpected "}"
/etc/n/two:1:16: error: KAS2107: the file includes itself: /etc/n/main.conf -> /etc/n/one -> /etc/n/two -> /etc/n/one
/etc/n/main.conf:7:9: error: KAS2106: including "[": syntax error in pattern
/etc/n/main.conf:8:1: error: KAS2106: "include" takes one file or pattern`
	if diff := cmp.Diff(want, fs.Error()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// FuzzExpand includes a file that may include itself and the first.
func FuzzExpand(f *testing.F) {
	f.Add([]byte("a; include other;"), []byte("b { include main; }"))
	f.Add([]byte("#x\ninclude o*; #y\nz;"), []byte("# only\n"))
	f.Fuzz(func(t *testing.T, main, other []byte) {
		file, err := Parse("/main", main)
		if err != nil {
			return
		}
		out, _ := file.Expand(tree(map[string]string{"/main": string(main), "/other": string(other)}))
		roundTrip(t, out)
	})
}
