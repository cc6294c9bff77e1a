package acme

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/url"
	"strings"

	"golang.org/x/crypto/acme/autocert"
)

// ErrLockLost says that a lock was lost while it was held, by whoever could not
// say in time that it lives.
var ErrLockLost = errors.New("the lock was lost")

// Cache is what replicas share: account, certificates with their keys, answers
// to challenges, and when to try again. It is autocert's, so what was written
// for that stores entries here too, and the lock that autocert lacks: an order
// is placed once. Get returns autocert.ErrCacheMiss where there is nothing, Put
// is whole or not at all, and Delete is no error where there is nothing.
type Cache interface {
	autocert.Cache
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
