package runtime

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kasgen/internal/cli"
	"kasgen/runtime/certs"
	"kasgen/runtime/state"
)

func TestCertsStatus(t *testing.T) {
	t.Parallel()
	dir, moved := unpacked(t, "../generator/testdata/render/default.txtar"), t.TempDir()
	code, out, errs := kasgen(t, "certs", "status", dir, "--state", moved)
	if code != cli.Failure || !strings.Contains(errs, "KAS3301") {
		t.Errorf("without certificates: %d\n%s%s", code, out, errs)
	}
	b, err := Read(dir, All, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := state.Ensure(b.Development(moved)); err != nil {
		t.Fatal(err)
	}
	code, out, errs = kasgen(t, "certs", "status", dir, "--state", moved)
	if code != cli.Done || errs != "" {
		t.Fatalf("%d: %s", code, errs)
	}
	for _, want := range []string{"kas.crt", "development", "kas.example.com", "kasgen development CA"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	code, out, errs = kasgen(t, "certs", "status", dir, "--state", moved, "--format", "json")
	var got struct {
		Certificates []certs.Status
		Findings     []any
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != cli.Done || got.Findings == nil {
		t.Fatalf("%d, %v: %s%s", code, err, out, errs)
	}
	for _, s := range got.Certificates {
		if !s.Ready(time.Now()) {
			t.Errorf("%+v is not ready", s)
		}
	}
	if strings.Contains(out, "PRIVATE") {
		t.Error("a key was printed")
	}
	path := filepath.Join(moved, "tls", "kas.crt")
	if err := os.WriteFile(path, []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs = kasgen(t, "certs", "status", dir, "--state", moved); code != cli.Failure || !strings.Contains(errs, "KAS3301") || !strings.Contains(errs, path) {
		t.Errorf("with a broken certificate: %d %s", code, errs)
	}
}
