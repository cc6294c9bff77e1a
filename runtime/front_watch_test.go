package runtime

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kasgen/runtime/certs"
	"kasgen/runtime/host"
	"kasgen/runtime/state"
)

// TestNativeStatus: of each pair that a real program serves it is told what is
// wrong with it.
func TestNativeStatus(t *testing.T) {
	t.Parallel()
	w := &world{t: t, state: t.TempDir()}
	at := func(name string) string { return filepath.Join(w.state, name) }
	if _, err := state.Ensure([]state.Item{{Path: at("ca.crt"), Kind: state.CA}}); err != nil {
		t.Fatal(err)
	}
	w.lasting("kas", "kas.example.com", 6)
	none, err := certs.Placeholder([]string{"none.example.com"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	w.pair("none", none)
	if err := os.WriteFile(at("broken.crt"), []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	pair := func(certificate, key string) certs.Served {
		return certs.Served{Pair: certs.Pair{Certificate: at(certificate), Key: at(key)}, AnyOf: []string{"kas.example.com", "kas-grpc.example.com"}}
	}
	f := &nativeFront{files: watchFiles(host.Machine(slog.New(slog.DiscardHandler)),
		nativeFiles{pairs: []certs.Served{
			pair("kas.crt", "kas.key"), pair("kas.pem", "kas.pem"), pair("none.pem", "none.pem"), pair("broken.crt", "kas.key"),
			pair("gone.pem", "gone.pem"), pair("empty.pem", "empty.pem"), pair("kas.crt", "none.key"), pair("other.crt", "other.key"), pair("ca.crt", "ca.key"),
		}})}
	w.lasting("other", "other.example.com", 60)
	if err := os.WriteFile(at("empty.pem"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range f.Status() {
		line := filepath.Base(s.ID)
		for _, found := range certs.Findings([]certs.Status{s}, time.Now()) {
			line += " " + string(found.Severity) + " " + found.Code
		}
		for _, name := range s.Names {
			line += " " + name
		}
		got = append(got, line)
	}
	const both = " kas.example.com kas-grpc.example.com"
	want := []string{
		"kas.crt error KAS3302 kas.example.com", "kas.pem error KAS3302 kas.example.com", "none.pem error KAS3301 none.example.com", "broken.crt error KAS3301" + both,
		"gone.pem error KAS3301" + both, "empty.pem error KAS3301" + both, "kas.crt error KAS3301 kas.example.com", "other.crt error KAS3306 other.example.com", "ca.crt error KAS3306",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	f.files.refused(errors.New("nginx says no"))
	f.files.refused(errors.New("nginx says no"))
	if s := f.Status()[1]; s.Failures != 2 || s.Error != "nginx says no" {
		t.Errorf("after two reloads that were refused: %d, %q", s.Failures, s.Error)
	}
	f.files.refused(nil)
	if s := f.Status()[1]; s.Failures != 2 || s.Error != "" {
		t.Errorf("after one that was not: %d, %q", s.Failures, s.Error)
	}
}
