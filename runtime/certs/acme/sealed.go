package acme

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"errors"
	"fmt"
)

// sealed encrypts what another cache keeps.
type sealed struct {
	Cache
	aead cipher.AEAD
}

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
	return sealed{below, aead}, err
}

// Get is Cache's. What is there in clear or under another key is an error, and
// not a miss: it must not be overwritten by who has been given a wrong key.
func (s sealed) Get(ctx context.Context, key string) ([]byte, error) {
	data, err := s.Cache.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	// The entry's name is bound to it, so that none can take another's place.
	text, err := s.aead.Open(nil, nil, data, []byte(key))
	if err != nil {
		return nil, fmt.Errorf("%s is not encrypted with this key file", key)
	}
	return text, nil
}

// Put is Cache's.
func (s sealed) Put(ctx context.Context, key string, data []byte) error {
	return s.Cache.Put(ctx, key, s.aead.Seal(nil, nil, data, []byte(key)))
}
