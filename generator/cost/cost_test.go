package cost_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"kasgen/generator/cost"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestOf holds reports to whole texts: files before/…, files after/…, and what
// the change between them costs.
func TestOf(t *testing.T) {
	t.Parallel()
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatal("no cases", err)
	}
	for _, file := range cases {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			before, after := map[string][]byte{}, map[string][]byte{}
			for _, f := range a.Files {
				if path, ok := strings.CutPrefix(f.Name, "before/"); ok {
					before[path] = f.Data
				}
				if path, ok := strings.CutPrefix(f.Name, "after/"); ok {
					after[path] = f.Data
				}
			}
			var got bytes.Buffer
			if err := cost.Of(before, after).WriteText(&got); err != nil {
				t.Fatal(err)
			}
			last := &a.Files[len(a.Files)-1]
			if last.Name != "cost" {
				t.Fatalf("%s does not end with cost", file)
			}
			if *update {
				last.Data = got.Bytes()
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(string(last.Data), got.String()); d != "" {
				t.Errorf("rewrite with -update if this is meant:\n%s", d)
			}
			// What does not change costs nothing.
			same := cost.Of(after, after)
			for _, r := range same.Roles {
				if r.Action != cost.Nothing {
					t.Errorf("without a change: %+v", r)
				}
			}
			if n := len(same.Listeners) + len(same.Names) + len(same.Certificates) + len(same.Traffic) + len(same.Agents) + len(same.Streams); n > 0 {
				t.Errorf("without a change: %+v", same)
			}
		})
	}
}

// FuzzOf holds any two files to a report: whatever people wrote into a bundle,
// a comparison ends, and says what it could not read.
func FuzzOf(f *testing.F) {
	f.Add("haproxy/haproxy.cfg", "global\n    daemon\nfrontend f\n    bind :1,*:2 ssl crt x\n    use_backend b if { req.ssl_sni -i -m beg }\n", "frontend\n bind\n")
	f.Add("nginx/nginx.conf", "http { map $ssl_preread_server_name $x { a b; } server { listen [::]:80 ipv6only=on; server_name _ \"\" ~x; } }", "stream { server { listen unix:/x; listen; } }")
	f.Add("edge/edge.yaml", "listeners: []", "")
	f.Add("kas/kas-config.yaml", "agent: null", "gitlab: {}")
	f.Add("kasgen.rb", "# why\ngitlab_kas['enable'] = true\n\nx y", "gitlab_kas['nginx']['host'] = 'a'")
	f.Add("vhosts/kas.conf", "server { listen 80; }", "")
	f.Fuzz(func(t *testing.T, path, before, after string) {
		r := cost.Of(map[string][]byte{path: []byte(before)}, map[string][]byte{path: []byte(after)})
		if err := r.WriteText(&bytes.Buffer{}); err != nil {
			t.Fatal(err)
		}
		if before == after {
			for _, role := range r.Roles {
				if role.Action != cost.Nothing {
					t.Errorf("no change: %+v", role)
				}
			}
		}
	})
}
