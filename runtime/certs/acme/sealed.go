package acme

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/crypto/acme/autocert"
)

// sealed encrypts what another cache keeps. An entry is sealedMagic, the key's
// ID, the length of the rest in four bytes, and the rest: nonce, ciphertext and
// tag. So what a crash has cut short can be told from what is another key's.
type sealed struct {
	Cache
	aead cipher.AEAD
	head []byte // of every entry: magic and ID
}

// sealedMagic is not ASCII, so that no text that lies there in clear begins so.
const (
	sealedMagic = "\xabkasgen1"
	sealedID    = 8 // bytes
	sealedTag   = 16
)

// errCutShort is a miss: nothing can be had of the entry, and nothing is lost
// by writing another in its place.
var errCutShort = fmt.Errorf("it was written in part only: %w", autocert.ErrCacheMiss)

// Seal is a cache of which the one below sees only ciphertext, for places such
// as a Secret that more people may read than the keys in it are for. secret is
// the content of a key file, 32 random bytes or more.
func Seal(below Cache, secret []byte) (Cache, error) {
	if len(secret) < 32 {
		return nil, errors.New("acme: a cache's key file needs 32 random bytes at the least")
	}
	key := sha256.Sum256(append([]byte("kasgen acme cache v1\x00"), secret...))
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	id := sha256.Sum256(append([]byte("kasgen acme cache key ID v1\x00"), secret...))
	return sealed{below, aead, append([]byte(sealedMagic), id[:sealedID]...)}, err
}

// Get is Cache's. What is there in clear or under another key is an error, and
// not a miss: it must not be overwritten by who has been given a wrong key.
func (s sealed) Get(ctx context.Context, key string) ([]byte, error) {
	data, err := s.Cache.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	if s.cut(data) {
		return nil, fmt.Errorf("%s: %w", key, errCutShort)
	}
	// The entry's name is bound to it, so that none can take another's place.
	bound, fault := []byte(key), "is not encrypted with this key file"
	if n := len(s.head) + 4; bytes.HasPrefix(data, s.head) {
		data, bound, fault = data[n:], append(data[:n:n], key...), "is damaged, or another entry's copy; remove it"
	} // else it is from before entries had a head, or nothing of ours
	text, err := s.aead.Open(nil, nil, data, bound)
	if err != nil {
		return nil, fmt.Errorf("%s %s", key, fault)
	}
	return text, nil
}

// cut says whether data is the beginning of an entry under this key, or space
// for one: some file systems leave zeros after a crash.
func (s sealed) cut(data []byte) bool {
	written := bytes.TrimRight(data, "\x00")
	if len(written) <= len(s.head) {
		return bytes.HasPrefix(s.head, written)
	}
	if !bytes.HasPrefix(data, s.head) {
		return false
	}
	rest := data[len(s.head):]
	if len(rest) < 4 || uint64(len(rest)-4) < uint64(binary.BigEndian.Uint32(rest)) {
		return true
	}
	return len(data)-len(written) >= sealedTag // which no tag is
}

// Put is Cache's.
func (s sealed) Put(ctx context.Context, key string, data []byte) error {
	n := len(data) + s.aead.Overhead()
	head := binary.BigEndian.AppendUint32(bytes.Clone(s.head), uint32(n)) //nolint:gosec // certificates are some KiB
	return s.Cache.Put(ctx, key, append(head, s.aead.Seal(nil, nil, data, append(bytes.Clone(head), key...))...))
}
