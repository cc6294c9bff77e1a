package runtime

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"kasgen/internal/cli"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// bundles are whole bundles of every kind, as the generator's goldens have
// them.
const bundles = "../generator/testdata/render/*.txtar"

// unpacked is a golden bundle as a directory.
func unpacked(t *testing.T, golden string) string {
	t.Helper()
	a, err := txtar.ParseFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, f := range a.Files {
		path := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// drawn are those bundles of which the SVG is kept as well.
var drawn = []string{"default", "B", "C", "D", "packaged"}

func TestTopologyShow(t *testing.T) {
	t.Parallel()
	found, err := filepath.Glob(bundles)
	if err != nil || len(found) < 10 {
		t.Fatalf("%d bundles, %v", len(found), err)
	}
	for _, from := range found {
		name := strings.TrimSuffix(filepath.Base(from), ".txtar")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := unpacked(t, from)
			if _, err := os.Stat(filepath.Join(dir, "kasgen.lock.yaml")); errors.Is(err, os.ErrNotExist) {
				t.Skip("the golden is no bundle")
			}
			var got txtar.Archive
			for _, o := range [][]string{{"text", "--width", "88"}, {"mermaid"}, {"svg"}} {
				code, out, errs := kasgen(t, append([]string{"topology", "show", dir, "--format"}, o...)...)
				if code != cli.Done || errs != "" {
					t.Fatalf("%v: %d %s", o, code, errs)
				}
				if o[0] == "svg" {
					wellFormed(t, out)
				}
				if o[0] != "svg" || slices.Contains(drawn, name) {
					got.Files = append(got.Files, txtar.File{Name: o[0], Data: []byte(out)})
				}
			}
			golden := filepath.Join("testdata", "topology", name+".txtar")
			data := txtar.Format(&got)
			if *update {
				if err := os.WriteFile(golden, data, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(data)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func wellFormed(t *testing.T, text string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Errorf("the SVG is not XML: %v", err)
			return
		}
	}
}

// TestTopologyShowFollowsFiles: what is drawn is what the files say now.
func TestTopologyShowFollowsFiles(t *testing.T) {
	t.Parallel()
	w := &world{t: t, dir: t.TempDir()}
	for name, text := range files {
		w.write(name, strings.ReplaceAll(text, "GITLAB", "https://gitlab.example.com"))
	}
	show := func() string {
		t.Helper()
		code, out, errs := kasgen(t, "topology", "show", w.dir, "--width", "100")
		if code != cli.Done {
			t.Fatalf("%d %s", code, errs)
		}
		return out
	}
	before := show()
	for _, want := range []string{"haproxy: bare", "outside the bundle", "127.0.0.1:7001", "/old"} {
		if !strings.Contains(before, want) {
			t.Errorf("%q is missing in\n%s", want, before)
		}
	}
	w.edit("haproxy/haproxy.cfg", "server bare-1 127.0.0.1:7001", "server bare-1 127.0.0.1:8150 send-proxy")
	w.edit("edge/edge.yaml", "prefix: /old", "prefix: /new")
	after := show()
	for _, want := range []string{"TCP, PROXY v1", "/new"} {
		if !strings.Contains(after, want) {
			t.Errorf("%q is missing in\n%s", want, after)
		}
	}
	if strings.Contains(after, "7001") || strings.Contains(after, "/old") {
		t.Errorf("what is gone is drawn\n%s", after)
	}
}

func TestTopologyShowFaults(t *testing.T) {
	t.Parallel()
	dir := frontOnly(t, "127.0.0.1:443", "127.0.0.1:1")
	for _, tt := range []struct {
		args []string
		code int
		say  string
	}{
		{[]string{filepath.Join(dir, "none")}, cli.Failure, "there is no directory"},
		{[]string{dir, "--format", "png"}, cli.Misuse, "text, mermaid or svg"},
	} {
		if code, out, errs := kasgen(t, append([]string{"topology", "show"}, tt.args...)...); code != tt.code || out != "" || !strings.Contains(errs, tt.say) {
			t.Errorf("%v: %d %s%s", tt.args, code, out, errs)
		}
	}
	// Every fault of every file.
	for name, text := range map[string]string{"haproxy/haproxy.cfg": "x\n", "edge/edge.yaml": "kind: Edge\n", "kas/kas-config.yaml": "x: 1\n"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	code, out, errs := kasgen(t, "topology", "show", dir)
	for _, want := range []string{"haproxy.cfg:1:1: error: KAS2", "edge.yaml:1:1: error: KAS1", "kas-config.yaml:1:1: error: KAS1"} {
		if code != cli.Failure || out != "" || !strings.Contains(errs, want) {
			t.Errorf("%d %s%s, want %s", code, out, errs, want)
		}
	}
}

func TestTopologyShowASCII(t *testing.T) {
	t.Parallel()
	_, out, _ := kasgen(t, "topology", "show", unpacked(t, "../generator/testdata/render/D.txtar"), "--ascii", "--width", "60")
	if i := bytes.IndexFunc([]byte(out), func(r rune) bool { return r > 0x7e }); i >= 0 {
		t.Errorf("not ASCII: %q", out[max(i-20, 0):i+20])
	}
	for line := range strings.Lines(out) {
		if n := len(strings.TrimSuffix(line, "\n")); n > 60 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}
