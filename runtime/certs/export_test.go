package certs

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"kasgen/runtime/state"
)

// background runs f until stop, which waits for it.
func background(t testing.TB, f func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func TestExport(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "in.crt"), filepath.Join(dir, "in.key")
	c, k := made(t, 1, "kas.example.com")
	put(t, cert, c)
	put(t, key, k)
	var l logged
	f, err := OpenFiles([]Pair{{cert, key}}, options(&l))
	if err != nil {
		t.Fatal(err)
	}
	out := Output{ID: cert, Certificate: filepath.Join(dir, "out.crt"), Key: filepath.Join(dir, "out.key"), Combined: filepath.Join(dir, "out.pem")}
	told := make(chan int64, 10)
	fail := true
	e := &Export{Log: slog.New(slog.NewTextHandler(&l, nil)), Source: f, Outputs: []Output{out, {ID: "none"}}, Retry: time.Millisecond,
		Changed: func(context.Context) error {
			pair, err := tls.LoadX509KeyPair(out.Combined, out.Combined)
			if err != nil {
				return err
			}
			if fail {
				fail = false
				return errors.New("the server did not reload")
			}
			told <- pair.Leaf.SerialNumber.Int64()
			return nil
		}}
	stop := background(t, e.Run)
	next := func(want int64) {
		t.Helper()
		select {
		case got := <-told:
			if got != want {
				t.Errorf("told of certificate %d, want %d", got, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("not told of certificate %d: %s", want, l.String())
		}
	}
	next(1) // after the first attempt to reload has failed
	c, k = made(t, 2, "kas.example.com")
	put(t, cert, c)
	put(t, key, k)
	f.Reload()
	next(2)
	stop()
	if len(told) != 0 {
		t.Error("told of a change that there was not")
	}
	for _, p := range []string{out.Certificate, out.Key, out.Combined} {
		if info, err := os.Stat(p); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v, want mode 0600", p, info, err)
		}
	}
	if _, err := tls.LoadX509KeyPair(out.Certificate, out.Key); err != nil {
		t.Error(err)
	}
	if changed, err := Write(out, f.Certificate(cert)); changed || err != nil {
		t.Errorf("writing the same again: %v, %v", changed, err)
	}
	if strings.Contains(l.String(), "PRIVATE") {
		t.Error("the log holds a key")
	}
}

func TestDevelopment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var l logged
	items := []state.Item{{Path: filepath.Join(dir, "ca.crt"), Kind: state.CA},
		{Path: filepath.Join(dir, "kas.crt"), Kind: state.Certificate, Names: []string{"kas.example.com"}}}
	f, err := OpenDevelopment(items, options(&l))
	if err != nil {
		t.Fatal(err)
	}
	st := f.Status()
	if len(st) != 1 || st[0].Source != "development" || !Ready(f, time.Now()) || Ready(f, time.Now().Add(366*24*time.Hour)) {
		t.Errorf("status %+v", st)
	}
	if diff := cmp.Diff([]string{"kas.example.com"}, st[0].Names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	r := prometheus.NewPedanticRegistry()
	Expose(r, func() []Status { return nil })
	Expose(r, f.Status) // takes its place
	families, err := r.Gather()
	if err != nil || len(families) != 5 {
		t.Errorf("%d metrics, %v, want 5", len(families), err)
	}
}
