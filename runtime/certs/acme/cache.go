package acme

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/url"
	"strings"
)

// ErrMiss says that a cache has nothing under a key.
var ErrMiss = errors.New("not in the cache")

// ErrLockLost says that a lock was lost while it was held, by whoever could not
// say in time that it lives.
var ErrLockLost = errors.New("the lock was lost")

// Cache is what replicas share: account, certificates with their keys, answers
// to challenges, and when to try again.
type Cache interface {
	// Get returns ErrMiss where there is nothing.
	Get(ctx context.Context, key string) ([]byte, error)
	// Put is whole or not at all.
	Put(ctx context.Context, key string, data []byte) error
	// Delete is no error where there is nothing.
	Delete(ctx context.Context, key string) error
	// Lock waits until no other replica, and nobody in this process, has the
	// lock of that name. It is free again after unlock, and when its owner
	// dies. locked is ctx for as long as the lock is ours: it ends with
	// unlock, and with ErrLockLost as its cause before another can have it.
	Lock(ctx context.Context, name string) (locked context.Context, unlock func(), err error)
}

// prefix keeps what CAs gave apart: a certificate of the staging CA must not
// serve when the directory becomes the real one.
func prefix(directory string) string {
	sum := sha256.Sum256([]byte(directory))
	host := "ca"
	if u, err := url.Parse(directory); err == nil {
		host = strings.ToLower(u.Hostname())
	}
	return host + "+" + hex.EncodeToString(sum[:4]) + "+"
}
