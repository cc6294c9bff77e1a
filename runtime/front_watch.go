package runtime

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	"kasgen/runtime/certs"
	"kasgen/runtime/host"
)

// watchedFiles are certificates and keys that a real program reads once. Their
// content is what is watched, as certs.Files does.
type watchedFiles struct {
	host  *host.Host
	paths []string

	mu   sync.Mutex
	seen [sha256.Size]byte // with which the program started or was reloaded
}

func watchFiles(h *host.Host, paths []string) *watchedFiles {
	w := &watchedFiles{host: h, paths: paths}
	w.seen = w.sum()
	return w
}

func (w *watchedFiles) sum() [sha256.Size]byte {
	h := sha256.New()
	for _, path := range w.paths {
		data, err := w.host.ReadFile(path)
		if err != nil {
			data = []byte(err.Error())
		}
		fmt.Fprintf(h, "%d ", len(data))
		h.Write(data)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// Status is of every certificate in the files that a program has read, as they
// lie there now.
func (f *nativeFront) Status() []certs.Status {
	var all []certs.Status
	for _, path := range f.files.paths {
		s := certs.Status{ID: path, Source: "files"}
		data, err := f.files.host.ReadFile(path)
		leaf, broken := leafOf(data)
		switch {
		case err != nil || broken != nil:
			s.Error = errors.Join(err, broken).Error()
		case leaf == nil || leaf.IsCA:
			continue // a key, or whom the program trusts
		default:
			s.Names = certs.Names(leaf)
			s.Describe(leaf)
		}
		all = append(all, s)
	}
	return all
}

// Refresh has the program read its file and the certificates again if these
// have changed; it judges them first, so that a pair that is half written costs
// nothing but another look.
func (f *nativeFront) Refresh(ctx context.Context) error {
	f.files.mu.Lock()
	defer f.files.mu.Unlock()
	now := f.files.sum()
	if now == f.files.seen {
		return nil
	}
	if err := f.process.Reload(ctx); err != nil {
		return err
	}
	f.files.seen = now
	f.files.host.Log.Info("certificates have changed; the program reads them again, and streams go on", "files", f.files.paths)
	return nil
}

// watch looks at the files until ctx is done.
func (f *nativeFront) watch(ctx context.Context) {
	tick := time.NewTicker(certs.Interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := f.Refresh(ctx); err != nil && ctx.Err() == nil {
				f.files.host.Log.Error("a certificate on disk has changed and does not work; the one in use stays", "error", err)
			}
		}
	}
}
