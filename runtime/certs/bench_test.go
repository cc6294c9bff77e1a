package certs

import (
	"path/filepath"
	"testing"
)

// BenchmarkReload is what reading an unchanged pair costs, every Interval.
func BenchmarkReload(b *testing.B) {
	dir := b.TempDir()
	cert, key := filepath.Join(dir, "kas.crt"), filepath.Join(dir, "kas.key")
	c, k := made(b, 1, "kas.example.com")
	put(b, cert, c)
	put(b, key, k)
	var l logged
	f, err := OpenFiles([]Pair{{cert, key}}, options(&l))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		f.Reload()
	}
}
