package omnibustest

import (
	"path/filepath"
	"testing"

	"kasgen/generator"
	"kasgen/generator/bundle"
	"kasgen/generator/spec"
	"kasgen/internal/diag"
	"kasgen/omnibus"
)

// Line is what gitlab.rb reads kasgen's keys by.
const Line = "\nfrom_file '/etc/gitlab/kasgen/kasgen.rb'\n"

// Render is what is rendered of a kasgen.yaml for a version of the package, and
// what is found; a bundle that is refused is nil. change may move things first.
func Render(t testing.TB, text []byte, version string, change ...func(*spec.Spec)) (*bundle.Bundle, string) {
	t.Helper()
	s, findings := spec.ReadFor(omnibus.Defaults, "kasgen.yaml", text, nil)
	if s == nil {
		return nil, findings.Error()
	}
	for _, c := range change {
		c(s)
	}
	v, err := omnibus.ParseVersion(version)
	if err != nil {
		t.Fatal(err)
	}
	b, more, err := generator.RenderFor(omnibus.Name, s, spec.Places("kasgen.yaml", text, nil), func(f generator.Facts) ([]bundle.File, diag.Findings, error) {
		return omnibus.Render(f, omnibus.Of(v))
	})
	if err != nil {
		t.Fatal(err)
	}
	all := append(findings, more...)
	said := ""
	if len(all) > 0 {
		said = all.Error()
	}
	return b, said
}

// Place writes a bundle where Omnibus finds it below root.
func Place(t testing.TB, root string, b *bundle.Bundle, gitlabRb string) {
	t.Helper()
	for _, f := range b.All() {
		Write(t, filepath.Join(root, "etc/gitlab/kasgen", f.Path), string(f.Data))
	}
	Write(t, filepath.Join(root, "etc/gitlab/gitlab.rb"), gitlabRb)
}

// Machine is a folder that stands for a machine on which a reconfigure has run:
// a bundle, the user's gitlab.rb that reads it, and Model's files.
func Machine(t testing.TB, text, gitlabRb, version string, change ...func(*spec.Spec)) string {
	t.Helper()
	b, said := Render(t, []byte(text), version, change...)
	if b == nil {
		t.Fatalf("it is refused: %s", said)
	}
	root := t.TempDir()
	Place(t, root, b, "external_url 'https://gitlab.example.com'\n"+gitlabRb+Line)
	node, err := Resolved(t, version, root)
	if err != nil {
		t.Fatal(err)
	}
	Model(t, root, version, node)
	return root
}
