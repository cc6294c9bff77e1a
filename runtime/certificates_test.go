package runtime

import (
	"encoding/json"
	"errors"
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
	at := func(name string) string { return filepath.Join(moved, "tls", name) }
	read := func(name string) []byte {
		data, err := os.ReadFile(at(name))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	if _, err := state.Ensure([]state.Item{
		{Path: at("ca.crt"), Kind: state.CA},
		{Path: at("other.crt"), Kind: state.Certificate, Names: []string{"other.example.com"}}, {Path: at("again.crt"), Kind: state.Certificate, Names: []string{"kas.example.com"}},
	}); err != nil {
		t.Fatal(err)
	}
	cert, key := read("kas.crt"), read("kas.key")
	for name, tt := range map[string]struct {
		cert, key  []byte
		code, says string
	}{
		"broken":         {[]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), key, "KAS3301", at("kas.crt")},
		"empty":          {nil, key, "KAS3301", at("kas.crt") + " holds no certificate"},
		"garbage":        {[]byte("not PEM"), key, "KAS3301", at("kas.crt") + " holds no certificate"},
		"a key alone":    {key, key, "KAS3301", at("kas.crt") + " holds no certificate"},
		"another's key":  {cert, read("again.key"), "KAS3301", "with key " + at("kas.key")},
		"no key":         {cert, nil, "KAS3301", "with key " + at("kas.key")},
		"a CA's":         {read("ca.crt"), read("ca.key"), "KAS3306", "for no name and not for kas.example.com"},
		"another name's": {read("other.crt"), read("other.key"), "KAS3306", "for other.example.com and not for kas.example.com"},
	} {
		if err := errors.Join(os.WriteFile(at("kas.crt"), tt.cert, 0o600), os.WriteFile(at("kas.key"), tt.key, 0o600)); err != nil {
			t.Fatal(err)
		}
		code, _, errs := kasgen(t, "certs", "status", dir, "--state", moved)
		if code != cli.Failure || !strings.Contains(errs, tt.code) || !strings.Contains(errs, tt.says) {
			t.Errorf("%s: %d\n%s", name, code, errs)
		}
		if strings.Contains(errs, "KAS3301") && !strings.Contains(errs, "may still serve the one before") {
			t.Errorf("%s: of what lies on disk it is told as of what is served:\n%s", name, errs)
		}
		code, out, _ := kasgen(t, "certs", "status", dir, "--state", moved, "--format", "json")
		if code != cli.Failure || !strings.Contains(out, tt.code) || strings.Contains(out, "PRIVATE") {
			t.Errorf("%s in JSON: %d\n%s", name, code, out)
		}
	}
}
