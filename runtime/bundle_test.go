package runtime

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLost: a file that the manifest lists is needed by the roles that read it.
func TestLost(t *testing.T) {
	t.Parallel()
	dir := frontOnly(t, "127.0.0.1:443", "127.0.0.1:1")
	entry := `{path: edge/edge.yaml, mode: "0644", sha256: "` + strings.Repeat("0", 64) + `"}`
	manifest := strings.Replace(files["kasgen.lock.yaml"], "files: []", "files: ["+entry+"]", 1)
	if err := os.WriteFile(filepath.Join(dir, "kasgen.lock.yaml"), []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(dir, Front); err != nil {
		t.Errorf("the front does not read it: %v", err)
	}
	for _, role := range []Role{All, Edge} {
		if _, err := Read(dir, role); err == nil || !strings.Contains(err.Error(), "edge.yaml is not there, and kasgen.lock.yaml lists it") {
			t.Errorf("%s: %v", role, err)
		}
	}
}
