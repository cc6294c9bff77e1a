package lockfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kasgen/internal/diag"
	"kasgen/internal/lockfile"
)

func sample() *lockfile.File {
	return &lockfile.File{
		APIVersion: lockfile.APIVersion, Kind: lockfile.Kind, Kasgen: "1.0.0", Topology: "A",
		SpecDigest: lockfile.Digest([]byte("spec")), StateDir: "/var/lib/kasgen",
		Development: []lockfile.Development{
			{Path: "/var/lib/kasgen/tls/ca.crt", Kind: lockfile.CA, Names: []string{}},
			{Path: "/var/lib/kasgen/tls/kas.crt", Kind: lockfile.Certificate, Names: []string{"kas.example.com"}},
		},
		Names: &lockfile.Names{
			KAS: lockfile.Host{Name: "kas.example.com", Listeners: []string{"0.0.0.0:443"}, PathPrefix: "/k8s-proxy",
				Front: &lockfile.Front{Kind: "external-http", TLS: "terminate", ProxyProtocol: "none"}},
			GRPC: &lockfile.Host{Name: "kas-grpc.example.com", Listeners: []string{"127.0.0.1:8150"}},
		},
		Carries: &lockfile.Carries{Agents: lockfile.Agents{WSS: lockfile.Yes, GRPCS: lockfile.No},
			Kubectl: lockfile.Kubectl{SPDY: lockfile.Refused, WebSocket: lockfile.Yes}},
		Files: []lockfile.Entry{
			{Path: "edge/edge.yaml", Mode: 0o644, SHA256: lockfile.Digest([]byte("edge"))},
			{Path: "kas/kas-config.yaml", Mode: 0o640, SHA256: lockfile.Digest([]byte("kas"))},
		},
	}
}

func TestReadWrite(t *testing.T) {
	t.Parallel()
	want := sample()
	shuffled := sample()
	shuffled.Files[0], shuffled.Files[1] = shuffled.Files[1], shuffled.Files[0]
	text := lockfile.Write(shuffled)
	got, err := lockfile.Read("l", text)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if !strings.Contains(string(text), `mode: "0644"`) {
		t.Errorf("a mode is not quoted octal:\n%s", text)
	}
}

func TestFindings(t *testing.T) {
	t.Parallel()
	text := string(lockfile.Write(sample()))
	for name, tc := range map[string]struct{ old, new, want string }{
		"version":        {"kasgen/v1", "kasgen/v9", "l:3:13 KAS1301"},
		"kind":           {"kind: Lock", "kind: Edge", "l:4:7 KAS1301"},
		"escape":         {"edge/edge.yaml", "../edge.yaml", "l:43:11 KAS1302"},
		"itself":         {"edge/edge.yaml", lockfile.Name, "l:43:11 KAS1302"},
		"not canonical":  {"edge/edge.yaml", "edge//edge.yaml", "l:43:11 KAS1302"},
		"twice":          {"edge/edge.yaml", "kas/kas-config.yaml", "l:46:11 KAS1303"},
		"outside state":  {"/var/lib/kasgen/tls/ca.crt", "/etc/passwd", "l:35:11 KAS1302"},
		"out of state":   {"/var/lib/kasgen/tls/ca.crt", "/var/lib/kasgen/../x", "l:35:11 KAS1302"},
		"kind of file":   {"kind: ca", "kind: cert", "l:36:11 KAS1302"},
		"mode":           {`"0644"`, `"0999"`, "l:44:11 KAS1008"},
		"digest":         {lockfile.Digest([]byte("edge")), "abc", "l:45:13 KAS1302"},
		"relative state": {"stateDir: /var/lib/kasgen", "stateDir: var", "l:8:11 KAS1302"},
		"name":           {"name: kas-grpc.example.com", "name: ''", "l:21:11 KAS1302"},
		"listener":       {"127.0.0.1:8150", "127.0.0.1", "l:23:9 KAS1302"},
		"front":          {"kind: external-http", "kind: haproxy", "l:16:13 KAS1302"},
		"protocol":       {"tls: terminate", "tls: terminate\n      alpn: [h3]", "l:18:14 KAS1302"},
		"prefix":         {"pathPrefix: /k8s-proxy", "pathPrefix: k8s-proxy", "l:19:17 KAS1302"},
		"answer":         {"spdy: refused", "spdy: perhaps", "l:30:11 KAS1302"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := lockfile.Read("l", []byte(strings.Replace(text, tc.old, tc.new, 1)))
			fs, _ := errors.AsType[diag.Findings](err)
			if len(fs) == 0 {
				t.Fatalf("no finding: %v", err)
			}
			if got := fs[0].String() + " " + fs[0].Code; got != tc.want {
				t.Errorf("want %s, got %v", tc.want, err)
			}
		})
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	write := func(t *testing.T, dir, name, text string, mode os.FileMode) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		change func(t *testing.T, dir string)
		want   lockfile.Difference
	}{
		"none":    {func(*testing.T, string) {}, lockfile.Difference{}},
		"edited":  {func(t *testing.T, dir string) { write(t, dir, "edge/edge.yaml", "other", 0o644) }, lockfile.Difference{Edited: []string{"edge/edge.yaml"}}},
		"mode":    {func(t *testing.T, dir string) { write(t, dir, "edge/edge.yaml", "edge", 0o600) }, lockfile.Difference{Edited: []string{"edge/edge.yaml"}}},
		"extra":   {func(t *testing.T, dir string) { write(t, dir, "edge/more", "", 0o600) }, lockfile.Difference{Extra: []string{"edge/more"}}},
		"missing": {func(_ *testing.T, dir string) { os.RemoveAll(filepath.Join(dir, "kas")) }, lockfile.Difference{Missing: []string{"kas/kas-config.yaml"}}},
		"link": {func(t *testing.T, dir string) {
			path := filepath.Join(dir, "edge/edge.yaml")
			write(t, dir, "../outside", "edge", 0o644)
			os.Remove(path)
			if err := os.Symlink(filepath.Join(dir, "../outside"), path); err != nil {
				t.Fatal(err)
			}
		}, lockfile.Difference{Edited: []string{"edge/edge.yaml"}}},
		"gone": {func(_ *testing.T, dir string) { os.RemoveAll(dir) }, lockfile.Difference{Missing: []string{"edge/edge.yaml", "kas/kas-config.yaml"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "bundle")
			write(t, dir, "edge/edge.yaml", "edge", 0o644)
			write(t, dir, "kas/kas-config.yaml", "kas", 0o640)
			write(t, dir, lockfile.Name, "", 0o644)
			tc.change(t, dir)
			got, err := sample().Verify(dir)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Error(d)
			}
			if got.Empty() != (name == "none") {
				t.Error("Empty is wrong")
			}
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add(lockfile.Write(sample()))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := lockfile.Read("l", data)
		if err != nil {
			return
		}
		text := lockfile.Write(v)
		again, err := lockfile.Read("again", text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if d := cmp.Diff(string(text), string(lockfile.Write(again))); d != "" {
			t.Error(d)
		}
	})
}
