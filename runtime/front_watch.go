package runtime

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
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

	told     sync.Mutex        // of the rest
	loaded   []certs.Status    // of what the program has read
	bad      [sha256.Size]byte // content that was refused last
	failures int               // contents that were refused
	failure  string            // of the last reload
}

func watchFiles(h *host.Host, files nativeFiles) *watchedFiles {
	w := &watchedFiles{host: h, paths: files.paths, pairs: files.pairs}
	now := w.read()
	w.seen = now.sum
	w.took(now)
	return w
}

// content is what the files hold at one moment.
type content struct {
	files map[string]file
	sum   [sha256.Size]byte
}

type file struct {
	data []byte
	err  error
}

func (w *watchedFiles) read() content {
	c := content{files: map[string]file{}}
	h := sha256.New()
	for _, path := range w.paths {
		data, err := w.host.ReadFile(path)
		c.files[path] = file{data, err}
		if err != nil {
			data = []byte(err.Error())
		}
		fmt.Fprintf(h, "%d ", len(data))
		h.Write(data)
	}
	c.sum = [sha256.Size]byte(h.Sum(nil))
	return c
}

// took notes what the program has read. From then on that is what is told of,
// and not what lies on disk, which it may have refused.
func (w *watchedFiles) took(c content) {
	var all []certs.Status
	for _, p := range w.pairs {
		all = append(all, p.Inspect(func(path string) ([]byte, error) {
			if f, ok := c.files[path]; ok {
				return f.data, f.err
			}
			return w.host.ReadFile(path)
		}))
	}
	w.told.Lock()
	defer w.told.Unlock()
	w.loaded, w.bad, w.failure = all, [sha256.Size]byte{}, ""
}

// refused notes that the program did not take the content. It is news once: the
// next look, at the same content, finds the same.
func (w *watchedFiles) refused(sum [sha256.Size]byte, err error) (news bool) {
	w.told.Lock()
	defer w.told.Unlock()
	w.failure = err.Error()
	if sum == w.bad {
		return false
	}
	w.bad = sum
	w.failures++
	return true
}

// settled forgets a refusal, since the files hold again what the program has.
func (w *watchedFiles) settled() {
	w.told.Lock()
	defer w.told.Unlock()
	w.bad, w.failure = [sha256.Size]byte{}, ""
}

// Status is of every certificate that the program shows to clients, as it has
// read it, and of what went wrong when it should have read another.
func (f *nativeFront) Status() []certs.Status {
	w := f.files
	w.told.Lock()
	defer w.told.Unlock()
	all := slices.Clone(w.loaded)
	for i := range all {
		// What the program says of the next is more than that there is none yet.
		all[i].Failures, all[i].Error = w.failures, cmp.Or(w.failure, all[i].Error)
	}
	return all
}

// Refresh has the program read its file and the certificates again if these
// have changed; it judges them first, so that a pair that is half written costs
// nothing but another look.
func (f *nativeFront) Refresh(ctx context.Context) error {
	w := f.files
	w.mu.Lock()
	defer w.mu.Unlock()
	now := w.read()
	if now.sum == w.seen {
		w.settled()
		return nil
	}
	if err := f.process.Reload(ctx); err != nil {
		if ctx.Err() == nil && w.refused(now.sum, err) {
			w.host.Log.Error("a certificate on disk has changed and does not work; the one in use stays", "error", err)
		}
		return err
	}
	w.seen = now.sum
	w.took(now)
	w.host.Log.Info("certificates have changed; the program reads them again, and streams go on", "files", w.paths)
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
			_ = f.Refresh(ctx) // it has said what there is to say
		}
	}
}
