package omnibus_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"kasgen/internal/judge"
	"kasgen/omnibus/omnibustest"
)

// named is a kasgen.yaml whose kas has a name of that length.
func named(topology string, length int) string {
	const domain = ".gitlab.example.com"
	return "apiVersion: kasgen/v1\ntopology: " + topology + "\ngitlab: {url: https://gitlab.example.com}\nnames: {kas: " + strings.Repeat("k", length-len(domain)) + domain + "}\n"
}

// TestRoomForNames has the real nginx read names of the last length for which
// Omnibus's own setting has room, and of the next: there alone kasgen.rb has one.
func TestRoomForNames(t *testing.T) {
	t.Parallel()
	program := judge.Find(t, "nginx")
	for _, topology := range []string{"A", "packaged"} {
		for length, want := range map[int]bool{46: false, 47: true} {
			t.Run(fmt.Sprint(topology, " ", length), func(t *testing.T) {
				t.Parallel()
				root := hostOf(t, named(topology, length), "", "18.11", func(port string) string { return "127.0.0.1:2" + fmt.Sprintf("%04s", port) })
				accepts(t, program, root)
				if got := strings.Contains(omnibustest.Read(t, filepath.Join(root, "etc/gitlab/kasgen/kasgen.rb")), "server_names_hash_bucket_size"); got != want {
					t.Errorf("kasgen.rb has the setting: %t, want %t", got, want)
				}
			})
		}
	}
}

// TestRoomOverruled: a line below kasgen's may have more room than is needed, and
// not less.
func TestRoomOverruled(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	spec := m.spec(named("A", 47))
	omnibustest.Ruby(t)
	m.kasgen(0, "omnibus", "install", "-f", spec, "--yes", "--binary", m.binary)
	m.ctl(0, "reconfigure")
	node := omnibustest.Read(t, m.at("etc/gitlab/gitlab.rb"))
	for size, said := range map[int]bool{64: true, 128: false, 512: false} {
		omnibustest.Write(t, m.at("etc/gitlab/gitlab.rb"), node+fmt.Sprintf("nginx['server_names_hash_bucket_size'] = %d\n", size))
		env := m.env
		m.env = append(env, "KASGEN_SKIP=1")
		m.ctl(0, "reconfigure")
		m.env = env
		if out := m.kasgen(0, "omnibus", "reconfigure", "--hook", "post"); strings.Contains(out, "KAS5107: nginx['server_names_hash_bucket_size']") != said {
			t.Errorf("of %d: %s", size, out)
		}
	}
}
