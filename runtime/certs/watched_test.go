package certs_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"kasgen/runtime/certs"
)

// placed writes a placeholder for name, in one file as HAProxy has it.
func placed(t *testing.T, path, name string) {
	t.Helper()
	c, err := certs.Placeholder([]string{name}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if !certs.IsPlaceholder(c.Leaf) || c.Leaf.VerifyHostname(name) != nil {
		t.Error("a placeholder that is none, or another's")
	}
	if _, err := certs.Write(certs.Output{Combined: path}, c); err != nil {
		t.Fatal(err)
	}
}

// TestWatched has several listeners of a role share what they read, and get what
// takes its place.
func TestWatched(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "kas.pem")
	placed(t, path, "before.example.com")
	reads, mu := 0, sync.Mutex{}
	w := certs.NewWatched(certs.FilesOptions{Log: slog.New(slog.DiscardHandler), Interval: 10 * time.Millisecond, ReadFile: func(path string) ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		reads++
		return os.ReadFile(path)
	}})
	pair := []certs.Pair{{Certificate: path, Key: path}}
	a, err := w.Open(pair)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := w.Open(pair); err != nil || a != b || reads != 2 {
		t.Errorf("%v, the same: %v, %d reads", err, a == b, reads)
	}
	if _, err := w.Open([]certs.Pair{{Certificate: path + "x", Key: path}}); err == nil {
		t.Error("a file that is not there is opened")
	}
	serves := func(name string) bool {
		c, err := a.GetCertificate(&tls.ClientHelloInfo{ServerName: name, SupportedVersions: []uint16{tls.VersionTLS13}})
		return err == nil && slices.Contains(certs.Names(c.Leaf), name)
	}
	placed(t, path, "told.example.com")
	w.Refresh()
	if !serves("told.example.com") {
		t.Error("a refresh brings nothing")
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx) })
	placed(t, path, "seen.example.com")
	for end := time.Now().Add(20 * time.Second); !serves("seen.example.com"); time.Sleep(5 * time.Millisecond) { // between two looks
		if time.Now().After(end) {
			t.Fatal("a change is not seen")
		}
	}
	cancel()
	running.Wait()
}
