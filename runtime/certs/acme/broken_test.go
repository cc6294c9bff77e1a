package acme

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kasgen/runtime/certs"
	"kasgen/runtime/certs/pebble"
)

// TestBrokenCache leaves beginnings of what is there, as a crash of a machine
// may, in clear and encrypted.
func TestBrokenCache(t *testing.T) {
	t.Parallel()
	for name, keep := range map[string]func(size int64) int64{
		"nothing": func(int64) int64 { return 0 },
		"20":      func(size int64) int64 { return min(size, 20) },
		"half":    func(size int64) int64 { return size / 2 },
	} {
		for form, secret := range map[string][]byte{"clear": nil, "sealed": bytes.Repeat([]byte("k"), 32)} {
			t.Run(form+" "+name, func(t *testing.T) {
				t.Parallel()
				brokenCache(t, secret, keep)
			})
		}
	}
}

func brokenCache(t *testing.T, secret []byte, keep func(size int64) int64) {
	w := newWorld(t, pebble.Options{})
	dir := t.TempDir()
	options := func() Options {
		t.Helper()
		o := w.options(dir)
		if secret != nil {
			var err error
			if o.Cache, err = Seal(o.Cache, secret); err != nil {
				t.Fatal(err)
			}
		}
		return o
	}
	shorten := func() {
		t.Helper()
		files, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			info, err := f.Info()
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(filepath.Join(dir, f.Name()), keep(info.Size())); err != nil {
				t.Fatal(err)
			}
		}
	}
	s := w.replica(options())
	if err := s.Renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	held := s.Certificate(kas)
	// Who has it in use writes it again; who starts obtains another.
	shorten()
	s.look(t.Context(), s.certs[0])
	data, err := s.o.Cache.Get(t.Context(), s.certKey(s.certs[0]))
	if err != nil {
		t.Fatalf("the cache is not whole again: %v", err)
	}
	if c, err := certs.Parse(data, data); err != nil || serialOf(c.Leaf) != serialOf(held.Leaf) {
		t.Errorf("in the cache is %v, %v", c, err)
	}
	w.leave()
	shorten()
	next := w.replica(options())
	if st := next.Status()[0]; next.Certificate(kas) != nil || !strings.Contains(st.Error, "a new one is obtained") {
		t.Errorf("a start with the beginning of a certificate: %+v", st)
	}
	next.look(t.Context(), next.certs[0])
	if next.Certificate(kas) == nil {
		t.Fatalf("nothing is obtained: %+v", next.Status()[0])
	}
	if w.leafOf(kas).SerialNumber.Cmp(held.Leaf.SerialNumber) == 0 {
		t.Error("the lost certificate is back")
	}
	if !strings.Contains(w.log.String(), "a new account is made") || w.made() != 2 {
		t.Errorf("%d accounts, want one more for the key that was lost, and a word of it", w.made())
	}
}
