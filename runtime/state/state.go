// Package state makes the secrets and certificates that a bundle's development
// form needs and that are not there yet. It knows no role. Its law: what exists
// is never changed, but for a certificate of a development CA that does not do
// any more; what it makes only its owner can read, and a certificate of the
// development CA is never taken for another.
package state

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Kind is what a file holds.
type Kind string

// The kinds of files.
const (
	Secret          Kind = "secret"          // base64 of 32 bytes: a key for kas's JWTs
	WebSocketSecret Kind = "websocketSecret" // base64 of 72 bytes
	CA              Kind = "ca"              // certificate of the development CA, PEM; its key lies beside it
	Certificate     Kind = "certificate"     // certificate for names, PEM; key and combined form lie beside it
)

// Item is one file that may be made.
type Item struct {
	Path  string
	Kind  Kind
	Names []string // of a certificate
}

// Ensure makes those items that are missing, and issues those certificates of a
// development CA anew that do not do any more. It returns the paths of both.
func Ensure(items []Item) ([]string, error) {
	var made []string
	var ca *authority
	for _, i := range items {
		if i.Kind == CA {
			var err error
			var created bool
			if ca, created, err = ensureCA(i.Path); err != nil {
				return made, fmt.Errorf("development CA %s: %w", i.Path, err)
			}
			if created {
				made = append(made, i.Path)
			}
		}
	}
	for _, i := range items {
		if i.Kind == CA || exists(i.Path) && (i.Kind != Certificate || ca == nil || !ca.outdated(i)) {
			continue
		}
		if err := create(i, ca); err != nil {
			return made, fmt.Errorf("making %s: %w", i.Path, err)
		}
		made = append(made, i.Path)
	}
	return made, nil
}

func create(i Item, ca *authority) error {
	switch i.Kind {
	case Secret:
		return writeSecret(i.Path, 32)
	case WebSocketSecret:
		return writeSecret(i.Path, 72)
	case Certificate:
		if ca == nil {
			return errors.New("the bundle names no development CA to sign it")
		}
		return ca.issue(i.Path, i.Names)
	case CA:
		return nil
	default:
		return fmt.Errorf("a file of the unknown kind %q", i.Kind)
	}
}

// Missing are the paths of items that are not there.
func Missing(items []Item) []string {
	var missing []string
	for _, i := range items {
		if !exists(i.Path) {
			missing = append(missing, i.Path)
		}
	}
	return missing
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

func writeSecret(path string, n int) error {
	key := make([]byte, n)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	return write(path, []byte(base64.StdEncoding.EncodeToString(key)+"\n"))
}

// write makes a file that only its owner reads, whole or not at all, and never
// over one that is there.
func write(path string, data []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(dir, ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // the name that stays is path
	_, err = tmp.Write(data)
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	// Link fails where the name exists, which Rename would replace.
	return os.Link(tmp.Name(), path)
}
