package runtime

import (
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

// TestNativeStatus: of what a real program has read, certificates are told and
// nothing else.
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
	f := &nativeFront{files: watchFiles(host.Machine(slog.New(slog.DiscardHandler)),
		[]string{at("ca.crt"), at("kas.crt"), at("kas.key"), at("kas.pem"), at("none.pem"), at("broken.crt"), at("gone.pem")})}
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
	want := []string{"kas.crt error KAS3302 kas.example.com", "kas.pem error KAS3302 kas.example.com", "none.pem error KAS3301 none.example.com", "broken.crt error KAS3301", "gone.pem error KAS3301"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
