package acme

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/crypto/acme/autocert"
)

// laid is the answer that a certificate's order has in the cache just now. Who
// takes the lock after an owner that was killed finds it there: a cache cannot
// be listed, and what another certificate's order has laid is none of its
// business.
type laid struct {
	Entry string `json:"entry"`
	Sum   []byte `json:"sum"` // of the answer, for another may lie there by now
}

func (s *Source) laidKey(id string) string { return s.prefix + id + "+answer" }

// lay puts an answer where every replica finds it, and before that a word of
// it. Its caller has the lock of the certificate of that ID.
func (s *Source) lay(ctx context.Context, id, entry string, answer []byte) error {
	sum := sha256.Sum256(answer)
	data, err := json.Marshal(laid{entry, sum[:]})
	if err == nil {
		err = s.o.Cache.Put(ctx, s.laidKey(id), data)
	}
	if err == nil {
		err = s.o.Cache.Put(ctx, entry, answer)
	}
	return err
}

// lift takes an answer away, and the word of it, unless the lock is another's
// by now: that one sweeps before it lays its own, and what lies there since is
// its own, be it in an entry of the same name, as of tls-alpn-01.
func (s *Source) lift(ctx context.Context, id, entry string) {
	if errors.Is(context.Cause(ctx), ErrLockLost) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookup)
	defer cancel()
	err := s.o.Cache.Delete(ctx, entry)
	if err == nil {
		err = s.o.Cache.Delete(ctx, s.laidKey(id))
	}
	if err != nil {
		s.o.Log.Warn("an answer to a challenge is left in the cache", "error", err)
	}
}

// sweep takes away what an owner of the certificate's lock has left that was
// killed, or lost the lock. Its caller has the lock, so that nobody waits for
// the CA to ask.
func (s *Source) sweep(ctx context.Context, c *certificate) {
	data, err := s.o.Cache.Get(ctx, s.laidKey(c.id))
	if errors.Is(err, autocert.ErrCacheMiss) {
		return
	}
	var left laid
	if err == nil && json.Unmarshal(data, &left) == nil {
		err = s.remove(ctx, left)
	} // else half of the word was written, and so no answer
	if err == nil {
		err = s.o.Cache.Delete(ctx, s.laidKey(c.id))
	}
	if err != nil {
		s.o.Log.Warn("an answer to a challenge is left in the cache by an owner of the lock before", "certificate", c.id, "error", err)
	}
}

func (s *Source) remove(ctx context.Context, left laid) error {
	name, ours := strings.CutPrefix(left.Entry, s.prefix)
	t, isToken := strings.CutSuffix(name, "+token")
	if !ours || !isToken && !strings.HasSuffix(name, "+alpn") || isToken && !token(t) {
		return nil // not written by us: it names no answer
	}
	if isToken && s.o.Webroot != "" {
		if err := os.Remove(s.webFile(t)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	answer, err := s.o.Cache.Get(ctx, left.Entry)
	if errors.Is(err, autocert.ErrCacheMiss) {
		return s.o.Cache.Delete(ctx, left.Entry) // of half an answer, too
	}
	if sum := sha256.Sum256(answer); err != nil || string(sum[:]) != string(left.Sum) {
		return err
	}
	s.o.Log.Info("an answer to a challenge was left by an owner of the lock that was killed or lost it; it is taken away", "entry", left.Entry)
	return s.o.Cache.Delete(ctx, left.Entry)
}
