package acme_test

import (
	"bytes"
	"testing"

	"kasgen/runtime/certs/acme"
	"kasgen/runtime/certs/acme/cachetest"
)

func TestCaches(t *testing.T) {
	t.Parallel()
	directory := func(t *testing.T, path string) acme.Cache {
		t.Helper()
		d, err := acme.OpenDirectory(path)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	t.Run("directory", func(t *testing.T) {
		t.Parallel()
		path := t.TempDir()
		cachetest.Run(t, func(t *testing.T) acme.Cache { return directory(t, path) })
	})
	t.Run("sealed", func(t *testing.T) {
		t.Parallel()
		path := t.TempDir()
		cachetest.Run(t, func(t *testing.T) acme.Cache {
			c, err := acme.Seal(directory(t, path), bytes.Repeat([]byte("k"), 32))
			if err != nil {
				t.Fatal(err)
			}
			return c
		})
	})
}
