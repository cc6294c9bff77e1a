// Package cache remembers answers, good and bad ones, for a while. It knows
// nothing of what they are about. Its law: a key is the SHA-256 of a whole
// secret, so one caller's answer is never another's, and no secret is kept.
package cache

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// Key is the digest of everything an answer depends on.
type Key [sha256.Size]byte

// KeyOf digests parts; each is bounded by its length, so that no two lists of
// parts give the same key.
func KeyOf(parts ...string) Key {
	var room [512]byte // tokens fit, so that a request allocates nothing here
	text := room[:0]
	for _, p := range parts {
		text = binary.LittleEndian.AppendUint64(text, uint64(len(p)))
		text = append(text, p...)
	}
	return sha256.Sum256(text)
}

// Cache holds answers of type V. The zero value is not usable: see New.
type Cache[V any] struct {
	ttl, errorTTL time.Duration
	remember      func(error) bool
	flight        singleflight.Group

	mu      sync.Mutex
	entries map[Key]entry[V]
	sweep   time.Time
}

type entry[V any] struct {
	value   V
	err     error
	expires time.Time
}

// New is a cache that keeps good answers for ttl and those bad ones that
// remember accepts for errorTTL. A ttl of 0 keeps nothing of that kind.
func New[V any](ttl, errorTTL time.Duration, remember func(error) bool) *Cache[V] {
	return &Cache[V]{ttl: ttl, errorTTL: errorTTL, remember: remember, entries: map[Key]entry[V]{}}
}

// Get answers from the cache or by load, which runs once at a time for a key.
// load's context lives on when one of several callers goes away.
func (c *Cache[V]) Get(ctx context.Context, key Key, load func(context.Context) (V, error)) (V, error) {
	if e, ok := c.lookup(key); ok {
		return e.value, e.err
	}
	answers := c.flight.DoChan(string(key[:]), func() (any, error) {
		v, err := load(context.WithoutCancel(ctx))
		c.store(key, v, err)
		return v, err
	})
	select {
	case <-ctx.Done():
		var zero V
		return zero, ctx.Err()
	case a := <-answers:
		v, _ := a.Val.(V)
		return v, a.Err
	}
}

func (c *Cache[V]) lookup(key Key) (entry[V], bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[key]
	return e, ok && time.Now().Before(e.expires)
}

func (c *Cache[V]) store(key Key, v V, err error) {
	ttl := c.ttl
	if err != nil {
		if !c.remember(err) {
			return
		}
		ttl = c.errorTTL
	}
	if ttl <= 0 {
		return
	}
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	// Expired entries go at most once a ttl, so that storing stays cheap and
	// the map does not grow by one entry for every token ever seen.
	if now.After(c.sweep) {
		for k, e := range c.entries {
			if now.After(e.expires) {
				delete(c.entries, k)
			}
		}
		c.sweep = now.Add(max(c.ttl, c.errorTTL))
	}
	c.entries[key] = entry[V]{value: v, err: err, expires: now.Add(ttl)}
}
