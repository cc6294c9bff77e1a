package omnibus_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/diff"
	"golang.org/x/tools/txtar"

	"kasgen/generator/bundle"
	"kasgen/internal/judge"
	"kasgen/omnibus"
	"kasgen/omnibus/omnibustest"
)

// versions are one of each way in which packages differ, and the last of each
// before it.
func versions() []string {
	return []string{"15.10", "17.11", "18.0", "18.4", "18.5", "18.6", "18.7", "18.10", "18.11", "19.1", "19.2", "19.4", "19.5", "20.0"}
}

// TestEveryVersion has Omnibus's stand-in read what is rendered of each
// topology for each version, with a gitlab.rb that says nothing else, and with
// the settings of a user who has given kas a name already.
func TestEveryVersion(t *testing.T) {
	t.Parallel()
	omnibustest.Ruby(t)
	for _, version := range versions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			v, err := omnibus.ParseVersion(version)
			if err != nil {
				t.Fatal(err)
			}
			mine := "nginx['custom_nginx_config'] = 'include /mine;'\ngitlab_kas_external_url 'wss://kas.gitlab.example.com'\n" +
				"gitlab_kas['listen_network'] = 'unix'\ngitlab_kas['listen_address'] = '/run/kas.sock'\n"
			if omnibus.Of(v).Nested {
				mine += "gitlab_kas['nginx']['custom_gitlab_server_config'] = 'mine;'\n"
			} else {
				mine += "gitlab_kas_nginx['custom_gitlab_server_config'] = 'mine;'\n"
			}
			type asked struct{ topology, websocket, before string }
			var every []asked
			var roots []string
			for _, topology := range []string{"A", "B", "D", "packaged"} {
				for _, websocket := range []string{"keep", "remove"} {
					b, said := omnibustest.Render(t, []byte(fmt.Sprintf("apiVersion: kasgen/v1\ntopology: %s\ngitlab: {url: https://gitlab.example.com}\n"+
						"names: {kas: kas.gitlab.example.com}\nagents: {websocket: %s}\n", topology, websocket)), version)
					if b == nil {
						t.Fatal(said)
					}
					for _, before := range []string{"", mine} {
						root := t.TempDir()
						omnibustest.Place(t, root, b, "external_url 'https://gitlab.example.com'\n"+before+omnibustest.Line)
						every, roots = append(every, asked{topology, websocket, before}), append(roots, root)
					}
				}
			}
			text, err := omnibustest.Resolved(t, version, roots...)
			if err != nil {
				t.Fatal(err)
			}
			answers := json.NewDecoder(strings.NewReader(text))
			for _, a := range every {
				var got struct {
					KAS struct {
						Network string `json:"listen_network"`
						Address string `json:"listen_address"`
					} `json:"gitlab_kas"`
					Nginx struct {
						Custom string `json:"custom_nginx_config"`
					} `json:"nginx"`
					Rails struct {
						Agents     string `json:"gitlab_kas_external_url"`
						Kubernetes string `json:"gitlab_kas_external_k8s_proxy_url"`
					} `json:"gitlab_rails"`
				}
				if err := answers.Decode(&got); err != nil {
					t.Fatal(err)
				}
				if a.before != "" && !strings.HasPrefix(got.Nginx.Custom, "include /mine;\n# kasgen begin\n") {
					t.Errorf("topology %s: custom_nginx_config is %q", a.topology, got.Nginx.Custom)
				}
				if got.KAS.Network != "tcp" || got.KAS.Address != "127.0.0.1:8150" {
					t.Errorf("topology %s: what is before kas dials TCP, and kas listens by %s at %s", a.topology, got.KAS.Network, got.KAS.Address)
				}
				scheme := map[string]string{"keep": "wss://", "remove": "grpcs://"}[a.websocket]
				if !strings.HasPrefix(got.Rails.Agents, scheme+"kas") || got.Rails.Kubernetes != "https://kas.gitlab.example.com/k8s-proxy/" {
					t.Errorf("topology %s, websocket %s: %+v", a.topology, a.websocket, got.Rails)
				}
			}
		})
	}
}

// gates are the first versions in which packages differ from those before.
func gates() []string { return []string{"15.10", "18.0", "18.5", "18.7", "18.11", "19.2", "19.5"} }

// resolved are the settings that a package of that version has of what is
// rendered, beside a gitlab.rb that says nothing else, as Ruby evaluates it.
func resolved(t *testing.T, version string, b *bundle.Bundle) []byte {
	t.Helper()
	root := t.TempDir()
	omnibustest.Place(t, root, b, "external_url 'https://gitlab.example.com'\n"+omnibustest.Line)
	text, err := omnibustest.Resolved(t, version, root)
	if err != nil {
		t.Fatal(err)
	}
	var settings map[string]any
	if err := json.Unmarshal([]byte(text), &settings); err != nil {
		t.Fatal(err)
	}
	out, err := json.MarshalIndent(settings, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(bytes.ReplaceAll(out, []byte(root), nil), '\n')
}

// TestGates holds what is rendered of a topology for every gate, and the settings
// that come of it, to one archive: whole for the oldest, and for each other what
// differs from the one before.
func TestGates(t *testing.T) {
	t.Parallel()
	omnibustest.Ruby(t)
	const grpc = "agents: {websocket: remove}\n"
	more := map[string]string{"gRPC only": grpc, "packaged, gRPC only": grpc}
	for _, name := range []string{"A", "B", "D", "packaged", "gRPC only", "packaged, gRPC only"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			topology, _, _ := strings.Cut(name, ",")
			if name == "gRPC only" {
				topology = "A"
			}
			spec := "apiVersion: kasgen/v1\ntopology: " + topology + "\ngitlab: {url: https://gitlab.example.com}\nnames: {kas: kas.gitlab.example.com}\n" + more[name]
			got := &txtar.Archive{Comment: []byte("Topology " + name + " for each version from which packages differ, as against the one before.\n")}
			last := map[string][]byte{}
			for _, version := range gates() {
				b, said := omnibustest.Render(t, []byte(spec), version)
				if b == nil {
					t.Fatal(said)
				}
				now := map[string][]byte{}
				for _, f := range b.Files {
					// The first line of keys names the version.
					now[f.Path] = []byte(strings.Replace(string(f.Data), "for GitLab "+version, "for GitLab VERSION", 1))
				}
				now["settings.json"] = resolved(t, version, b)
				for _, path := range slices.Sorted(maps.Keys(now)) {
					name := version + "/" + path
					if version == gates()[0] {
						got.Files = append(got.Files, txtar.File{Name: name, Data: now[path]})
					} else if d := diff.Diff("before", last[path], version, now[path]); d != nil {
						got.Files = append(got.Files, txtar.File{Name: name, Data: d})
					}
				}
				for path := range last {
					if now[path] == nil {
						got.Files = append(got.Files, txtar.File{Name: version + "/" + path, Data: []byte("is not written any more\n")})
					}
				}
				last = now
			}
			path := filepath.Join("testdata/gates", strings.ReplaceAll(strings.ReplaceAll(name, ",", ""), " ", "-")+".txtar")
			if *update {
				omnibustest.Write(t, path, string(txtar.Format(got)))
				return
			}
			if d := cmp.Diff(omnibustest.Read(t, path), string(txtar.Format(got))); d != "" {
				t.Errorf("rewrite with -update if this is meant:\n%s", d)
			}
		})
	}
}

// TestGatesOnNginx has the real nginx read what each gate's nginx would of each
// topology: the model of Omnibus's own files, for a user who has given kas a
// name already, and the vhosts beside them.
func TestGatesOnNginx(t *testing.T) {
	t.Parallel()
	program := judge.Find(t, "nginx")
	omnibustest.Ruby(t)
	const mine = "gitlab_kas_external_url 'wss://kas.gitlab.example.com'\n"
	for name, more := range map[string]string{
		"A":                   "topology: A\n",
		"A with a CA":         "topology: A\ntls: {source: acme, acme: {email: me@example.com}}\n",
		"B":                   "topology: B\n",
		"B by nginx":          "topology: B\nloadBalancer: {kind: nginx-stream}\n",
		"D":                   "topology: D\n",
		"D by gRPC only":      "topology: D\nagents: {websocket: remove}\n",
		"packaged":            "topology: packaged\n",
		"packaged, gRPC only": "topology: packaged\nagents: {websocket: remove}\n",
		"packaged, PROXY":     "topology: packaged\nloadBalancer: {acceptProxyProtocol: v2, realIPFrom: [10.0.0.0/8], listen: ['0.0.0.0:8443']}\n",
		"packaged, behind":    "topology: packaged\nloadBalancer: {kind: external-http, tls: terminate, realIPFrom: [10.0.0.0/8]}\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := "apiVersion: kasgen/v1\ngitlab: {url: https://gitlab.example.com}\nnames: {kas: kas.gitlab.example.com}\n" + more
			for _, version := range gates() {
				t.Run(version, func(t *testing.T) {
					accepts(t, program, hostOf(t, spec, mine, version, func(port string) string { return "127.0.0.1:2" + fmt.Sprintf("%04s", port) }))
				})
			}
		})
	}
}
