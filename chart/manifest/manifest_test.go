package manifest_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"kasgen/chart/manifest"
)

func reader(t testing.TB) *manifest.Reader {
	t.Helper()
	r, err := manifest.NewReader()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestRead has each fault with its place, and every object that can be read.
func TestRead(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text string
		objects    []string
		findings   []string
	}{
		{"nothing", "\n---\n# a comment\n---\n", nil, nil},
		{"two", "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n--- # next\napiVersion: x.example.com/v1\nkind: Own\nmetadata: {name: b, namespace: c}\nwhatever: 1\n",
			[]string{"/Secret//a", "x.example.com/Own/c/b"}, nil},
		{"a separator in a text", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  x: |\n    ---\n    y\n", []string{"/ConfigMap//a"}, nil},
		{"twice", "apiVersion: v1\nkind: Service\nmetadata:\n  name: a\n  annotations:\n    k: \"1\"\n    k: \"2\"\n",
			[]string{"/Service//a"}, []string{"m:7:1: error: KAS6102: metadata.annotations.k is there twice"}},
		{"unknown", "---\napiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {portz: []}\n",
			[]string{"/Service//a"}, []string{`m:2:1: error: KAS6103: Service a: unknown field "spec.portz"`}},
		{"of Gateway API", "apiVersion: gateway.networking.k8s.io/v1\nkind: TLSRoute\nmetadata: {name: a}\nspec: {hostname: x}\n",
			[]string{"gateway.networking.k8s.io/TLSRoute//a"}, []string{`m:1:1: error: KAS6103: TLSRoute a: unknown field "spec.hostname"`}},
		{"of cert-manager", "apiVersion: cert-manager.io/v1\nkind: Certificate\nmetadata: {name: a}\nspec: {secret: x}\n",
			[]string{"cert-manager.io/Certificate//a"}, []string{`m:1:1: error: KAS6103: Certificate a: unknown field "spec.secret"`}},
		{"metadata of a wrong type", "apiVersion: v1\nkind: Service\nmetadata: {name: a, annotations: {k: 1}}\n",
			nil, []string{"m:1:1: error: KAS6103: its metadata has a wrong type: json: cannot unmarshal number into Go struct field ObjectMeta.metadata.annotations of type string"}},
		{"no YAML", "a: b: c\n", nil, []string{"m:1:1: error: KAS6101: no YAML: mapping values are not allowed in this context"}},
		{"no object", "a: b\n", nil, []string{"m:1:1: error: KAS6101: no object of Kubernetes: it has no apiVersion, kind or name"}},
		{"a list", "- a\n", nil, []string{"m:1:1: error: KAS6101: no object of Kubernetes: it has no apiVersion, kind or name"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			list, found := reader(t).Read("m", []byte(tt.text))
			var objects, findings []string
			for _, o := range list {
				objects = append(objects, o.ID())
			}
			for _, f := range found {
				findings = append(findings, f.Error())
			}
			if diff := cmp.Diff(tt.objects, objects); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.findings, findings); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	r := reader(f)
	f.Add([]byte("apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 1}]}\n---\n"))
	f.Add([]byte("apiVersion: v1\nkind: ConfigMap\nmetadata: &a {name: x, labels: *a}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, _ := r.Read("m", data)
		for _, o := range list {
			if o.Kind == "" || o.Name == "" || o.Tree == nil || o.Pos.Line < 1 {
				t.Errorf("%+v", o)
			}
		}
	})
}
