package acme

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"golang.org/x/crypto/acme/autocert"
)

func TestSeal(t *testing.T) {
	t.Parallel()
	below, err := OpenDirectory(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Seal(below, []byte("short")); err == nil {
		t.Error("a short key was taken")
	}
	secret := bytes.Repeat([]byte("k"), 32)
	c, err := Seal(below, secret)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if _, err := c.Get(ctx, "a"); !errors.Is(err, autocert.ErrCacheMiss) {
		t.Errorf("what is not there: %v, want autocert.ErrCacheMiss", err)
	}
	text := []byte("-----BEGIN PRIVATE KEY-----")
	if err := c.Put(ctx, "a", text); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Get(ctx, "a"); err != nil || !bytes.Equal(got, text) {
		t.Errorf("got %q, %v", got, err)
	}
	raw, err := below.Get(ctx, "a")
	if err != nil || bytes.Contains(raw, []byte("PRIVATE")) {
		t.Errorf("below lies %q, %v", raw, err)
	}
	other, err := Seal(below, bytes.Repeat([]byte("o"), 32))
	if err != nil {
		t.Fatal(err)
	}
	if err := below.Put(ctx, "b", raw); err != nil {
		t.Fatal(err)
	}
	for name, get := range map[string]func() ([]byte, error){
		"another key":            func() ([]byte, error) { return other.Get(ctx, "a") },
		"under another name":     func() ([]byte, error) { return c.Get(ctx, "b") },
		"what is there in clear": func() ([]byte, error) { return c.Get(ctx, "clear") },
	} {
		if name == "what is there in clear" {
			if err := below.Put(ctx, "clear", text); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := get(); err == nil || errors.Is(err, autocert.ErrCacheMiss) || got != nil {
			t.Errorf("%s: %q, %v, want an error", name, got, err)
		}
	}
}

// TestSealDamaged: what is left of an entry is nothing, and no other key's.
func TestSealDamaged(t *testing.T) {
	t.Parallel()
	below, err := OpenDirectory(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	open := func(letter string) Cache {
		t.Helper()
		c, err := Seal(below, bytes.Repeat([]byte(letter), 32))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	c, other := open("k"), open("o")
	ctx := t.Context()
	put := func(data []byte) {
		t.Helper()
		if err := below.Put(ctx, "a", data); err != nil {
			t.Fatal(err)
		}
	}
	text := bytes.Repeat([]byte("text"), 20)
	if err := c.Put(ctx, "a", text); err != nil {
		t.Fatal(err)
	}
	whole, err := below.Get(ctx, "a")
	if err != nil {
		t.Fatal(err)
	}
	for n := range whole {
		for what, data := range map[string][]byte{"cut": whole[:n], "zeros": append(bytes.Clone(whole[:n]), make([]byte, len(whole)-n)...)} {
			if what == "zeros" && n > len(whole)-sealedTag {
				continue // less than the tag is missing: damage that nobody can name
			}
			put(data)
			if got, err := c.Get(ctx, "a"); !errors.Is(err, autocert.ErrCacheMiss) || got != nil {
				t.Errorf("%s after %d bytes of %d: %q, %v, want a miss", what, n, len(whole), got, err)
			}
			// From where the key can be told the other one's owner must not
			// write.
			if got, err := other.Get(ctx, "a"); n >= len(sealedMagic)+sealedID && (err == nil || errors.Is(err, autocert.ErrCacheMiss) || got != nil) {
				t.Errorf("%s after %d bytes, with another key: %q, %v, want an error", what, n, got, err)
			}
		}
	}
	for at := range whole {
		data := bytes.Clone(whole)
		data[at] ^= 0x01
		put(data)
		if got, err := c.Get(ctx, "a"); err == nil || got != nil || at > len(sealedMagic)+sealedID+4 && !strings.Contains(err.Error(), "is damaged") {
			t.Errorf("with byte %d changed: %q, %v", at, got, err)
		}
	}
	// As entries were before they had a head.
	put(c.(sealed).aead.Seal(nil, nil, text, []byte("a")))
	if got, err := c.Get(ctx, "a"); err != nil || !bytes.Equal(got, text) {
		t.Errorf("an entry of the old form: %q, %v", got, err)
	}
	if got, err := other.Get(ctx, "a"); err == nil || errors.Is(err, autocert.ErrCacheMiss) {
		t.Errorf("an entry of the old form with another key: %q, %v", got, err)
	}
}
