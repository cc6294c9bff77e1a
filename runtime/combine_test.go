package runtime

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kasgen/internal/lockfile"
	"kasgen/runtime/host"
)

// TestCombiner: who provides only the combined file is left alone, a broken pair
// leaves what was combined before, and is taken when it works.
func TestCombiner(t *testing.T) {
	t.Parallel()
	w := &world{t: t, state: t.TempDir()}
	at := func(name string) string { return filepath.Join(w.state, name) }
	of := []lockfile.Combined{{CertificateFile: at("kas.crt"), KeyFile: at("kas.key"), CombinedFile: at("both/kas.pem")}}
	var log said
	h := host.Machine(slog.New(slog.NewTextHandler(&log, nil)))
	changes := make(chan struct{}, 10)
	combine := func() (*combiner, error) {
		return newCombiner(h, of, func(context.Context) error { changes <- struct{}{}; return nil })
	}
	if c, err := combine(); err == nil || !strings.Contains(err.Error(), at("kas.crt")) {
		t.Fatalf("with nothing at all: %v, %v", c, err)
	}
	w.lasting("kas", "kas.example.com", 60)
	old, err := os.ReadFile(at("kas.pem"))
	if err == nil {
		err = errors.Join(os.Mkdir(at("both"), 0o700), os.WriteFile(at("both/kas.pem"), old, 0o600), os.Rename(at("kas.crt"), at("away.crt")), os.Rename(at("kas.key"), at("away.key")))
	}
	if err != nil {
		t.Fatal(err)
	}
	if c, err := combine(); err != nil || len(c.of) > 0 || len(c.Status()) > 0 {
		t.Errorf("with the combined file alone: %v, %v", c, err)
	}
	if err := os.WriteFile(at("kas.crt"), []byte("not PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := combine()
	if err != nil {
		t.Fatal(err)
	}
	if s := c.Status(); len(s) != 1 || s[0].Failures != 1 || s[0].Error == "" {
		t.Errorf("with a broken pair: %+v", s)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Serve(ctx) }()
	w.lasting("kas", "kas.example.com", 70)
	select {
	case <-changes:
	case <-time.After(time.Minute):
		t.Fatalf("a pair that works was not taken:\n%s", &log)
	}
	cert, errCert := os.ReadFile(at("kas.crt"))
	both, err := os.ReadFile(at("both/kas.pem"))
	if err := errors.Join(errCert, err); err != nil || !bytes.HasPrefix(both, cert) || bytes.Equal(both, old) {
		t.Errorf("the combined file is not of the new pair: %v", err)
	}
	if s := c.Status(); len(s) != 1 || s[0].Error != "" {
		t.Errorf("afterwards: %+v", s)
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if strings.Contains(log.String(), "PRIVATE") {
		t.Error("a key is in the log")
	}
}
