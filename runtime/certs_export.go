package runtime

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kasgen/internal/cli"
	"kasgen/internal/diag"
	"kasgen/runtime/certs"
	"kasgen/runtime/certs/atomicfile"
	"kasgen/runtime/state"
)

// certsExport writes every pair that the bundle's files name.
func certsExport(streams cli.IO, dir, to, moved string) error {
	b, err := Read(dir, All, Memory) // kas has no part in it
	if err != nil {
		return cli.Report(streams, cli.Text, err, b.Subjects()...)
	}
	pairs, faults := b.pairs(moved)
	if len(pairs) == 0 {
		return cli.Report(streams, cli.Text, diag.Findings{{Code: certs.CodeNone, Severity: diag.Error, Pos: diag.Pos{File: dir}, What: "there is no certificate with its key to export" + reason(faults),
			Why: "none of the files that " + dir + " names is one", Fix: "provide them, or see `kasgen certs status`"}}, b.Subjects()...)
	}
	if err := os.MkdirAll(to, 0o700); err != nil {
		return cli.Exit{Code: cli.Failure, Err: err}
	}
	for _, c := range pairs {
		name := fileName(certs.Names(c.Leaf))
		at := func(ending string) string { return filepath.Join(to, name+ending) }
		changed, err := certs.Write(certs.Output{Certificate: at(".crt"), Key: at(".key"), Combined: at(".pem")}, c)
		if err != nil {
			return cli.Exit{Code: cli.Failure, Err: err}
		}
		what := "as it was"
		if changed {
			what = "written"
		}
		if _, err := fmt.Fprintf(streams.Out, "%s.crt, %s.key, %s.pem: %s, expires %s\n", name, name, name, what, moment(c.Leaf.NotAfter)); err != nil {
			return err
		}
	}
	return b.exportRoot(streams, to, moved)
}

// exportRoot writes whom clients have to trust, if that is a development CA.
func (b *Bundle) exportRoot(streams cli.IO, to, moved string) error {
	for _, i := range b.Development(moved) {
		if i.Kind != state.CA {
			continue
		}
		root, err := os.ReadFile(i.Path)
		if err == nil {
			err = atomicfile.Write(filepath.Join(to, "ca.crt"), root, 0o600)
		}
		if err != nil {
			return cli.Exit{Code: cli.Failure, Err: err}
		}
		if _, err := fmt.Fprintln(streams.Out, "ca.crt: what clients have to trust"); err != nil {
			return err
		}
	}
	return nil
}

// fileName is that of a certificate's first name; a wildcard's star is none for
// a file.
func fileName(names []string) string {
	if len(names) == 0 {
		return "unnamed"
	}
	return strings.NewReplacer("*", "_", ":", "_", "/", "_").Replace(names[0])
}

// pairs are the certificates whose keys lie in one of the bundle's files too,
// each once. Files pair by content: which belongs to which is said in another
// way by each format, and a key fits one certificate only.
func (b *Bundle) pairs(moved string) (pairs []*tls.Certificate, faults []error) {
	files := b.Files()
	if b.certs != nil {
		files = append(files, b.certs.Written()...)
	}
	var certificates, keys [][]byte
	for _, path := range files {
		data, err := os.ReadFile(b.Redirect(path, moved))
		if err != nil {
			faults = append(faults, err)
			continue
		}
		for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
			if block.Type == "CERTIFICATE" && !slices.ContainsFunc(certificates, func(c []byte) bool { return bytes.Equal(c, data) }) {
				certificates = append(certificates, data)
			}
			if strings.HasSuffix(block.Type, "PRIVATE KEY") && !slices.ContainsFunc(keys, func(k []byte) bool { return bytes.Equal(k, data) }) {
				keys = append(keys, data)
			}
		}
	}
	for _, cert := range certificates {
		for _, key := range keys {
			c, err := certs.Parse(cert, key)
			if err != nil || certs.IsPlaceholder(c.Leaf) ||
				slices.ContainsFunc(pairs, func(p *tls.Certificate) bool { return bytes.Equal(p.Certificate[0], c.Certificate[0]) }) {
				continue
			}
			pairs = append(pairs, c)
		}
	}
	return pairs, faults
}

func reason(faults []error) string {
	if len(faults) == 0 {
		return ""
	}
	return ": " + errors.Join(faults...).Error()
}
