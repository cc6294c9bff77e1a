package runtime

import (
	"cmp"
	"context"
	"crypto/sha256"
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
	pairs []certs.Served // of those files

	mu   sync.Mutex
	seen [sha256.Size]byte // with which the program started or was reloaded

	faults   sync.Mutex // of the rest
	failures int        // reloads that were refused
	failure  string     // of the last one
}

func watchFiles(h *host.Host, files nativeFiles) *watchedFiles {
	w := &watchedFiles{host: h, paths: files.paths, pairs: files.pairs}
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

// refused notes how a reload ended.
func (w *watchedFiles) refused(err error) {
	w.faults.Lock()
	defer w.faults.Unlock()
	w.failure = ""
	if err != nil {
		w.failures++
		w.failure = err.Error()
	}
}

// Status is of every certificate that the program shows to clients, as it lies
// there now, and of what went wrong when the program should have read it.
func (f *nativeFront) Status() []certs.Status {
	w := f.files
	w.faults.Lock()
	failures, failure := w.failures, w.failure
	w.faults.Unlock()
	var all []certs.Status
	for _, p := range w.pairs {
		s := p.Inspect(w.host.ReadFile)
		s.Failures, s.Error = failures, cmp.Or(s.Error, failure)
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
		f.files.refused(nil)
		return nil
	}
	err := f.process.Reload(ctx)
	if ctx.Err() == nil {
		f.files.refused(err)
	}
	if err != nil {
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
