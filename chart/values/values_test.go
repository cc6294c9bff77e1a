package values

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"kasgen/chart/inventory"
	"kasgen/generator"
	"kasgen/generator/bundle"
	"kasgen/generator/spec"
	"kasgen/internal/diag"
)

var update = flag.Bool("update", false, "write golden files anew")

const text = `apiVersion: kasgen/v1
gitlab: {url: https://gitlab.example.com}
names: {kas: kas.gitlab.example.com}
kas: {kind: external}
`

// TestMake compares the values of every topology for every version, and has
// every key in the inventory.
func TestMake(t *testing.T) {
	t.Parallel()
	for _, v := range inventory.Known() {
		for _, topology := range []string{"packaged", "A", "B", "D"} {
			for suffix, more := range map[string]string{"": "", "-grpc-only": "agents: {websocket: remove}\n"} {
				name := fmt.Sprintf("%s-%s%s", v, topology, suffix)
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					got, findings := made(t, v, topology, more)
					var tree map[string]any
					if err := yaml.UnmarshalStrict(got, &tree); err != nil {
						t.Fatal(err)
					}
					for _, f := range findings {
						got = fmt.Appendf(got, "# %s: %s\n", f.Code, f.What)
					}
					golden := filepath.Join("testdata", name+".yaml")
					if *update {
						if err := os.WriteFile(golden, got, 0o600); err != nil {
							t.Fatal(err)
						}
						return
					}
					want, err := os.ReadFile(golden)
					if err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(string(want), string(got)); diff != "" {
						t.Error(diff)
					}
				})
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for more, want := range map[string]string{
		"kas: {kind: embedded}\n":                                              CodeKind,
		"kas: {kind: external, stripPrefix: true}\n":                           CodeStrip,
		"kas: {kind: external, listen: {agent: \"127.0.0.1:9150\"}}\n":         CodePort,
		"kas: {kind: external, listen: {kubernetesAPI: \"127.0.0.1:9154\"}}\n": CodePort,
	} {
		_, findings := made(t, inventory.Version{Major: 9, Minor: 9}, "A", more)
		if len(findings) != 2 || findings[0].Code != want || findings[1].Code != CodeExtras || !findings.Failed() {
			t.Errorf("%s: %v", more, findings)
		}
	}
}

func made(t *testing.T, v inventory.Version, topology, more string) ([]byte, diag.Findings) {
	t.Helper()
	source := text
	if strings.HasPrefix(more, "kas:") {
		source = strings.Replace(text, "kas: {kind: external}\n", "", 1)
	}
	s, findings := spec.Read("kasgen.yaml", []byte(source+more), []spec.Override{{Field: "topology", Text: topology, Source: "--topology"}})
	if s == nil {
		t.Fatal(findings)
	}
	keys, err := inventory.Of(v)
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	_, found, err := generator.RenderFor("chart", s, func(string) diag.Pos { return diag.Pos{} }, func(f generator.Facts) (_ []bundle.File, found diag.Findings, err error) {
		out, found, err = Make(f, keys, Options{})
		return nil, found, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out, found
}
