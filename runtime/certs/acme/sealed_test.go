package acme

import (
	"bytes"
	"errors"
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
