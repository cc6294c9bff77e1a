package certs

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// Watched are the certificates in files of one role, whichever listeners they
// are for.
type Watched struct {
	o  FilesOptions
	mu sync.Mutex
	by map[string]*Files // by their paths

	roots map[string]*Roots
}

// NewWatched has none yet.
func NewWatched(o FilesOptions) *Watched {
	return &Watched{o: o, by: map[string]*Files{}, roots: map[string]*Roots{}}
}

// Open is OpenFiles; the same pairs are opened once.
func (w *Watched) Open(pairs []Pair) (*Files, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := fmt.Sprintf("%q", pairs)
	if f := w.by[key]; f != nil {
		return f, nil
	}
	f, err := OpenFiles(pairs, w.o)
	if err != nil {
		return nil, err
	}
	w.by[key] = f
	return f, nil
}

// Status is of every certificate, in the order of their files.
func (w *Watched) Status() []Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []Status
	for _, key := range slices.Sorted(maps.Keys(w.by)) {
		all = append(all, w.by[key].Status()...)
	}
	return all
}

// Refresh reads the files now.
func (w *Watched) Refresh() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, f := range w.by {
		f.Reload()
	}
	for _, r := range w.roots {
		if err := r.read(); err != nil {
			w.o.Log.Error("who signs clients' certificates cannot be read; who was known stays", "error", err)
		}
	}
}

// Run reads the files every so often until ctx is done.
func (w *Watched) Run(ctx context.Context) {
	interval := w.o.Interval
	if interval == 0 {
		interval = Interval
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			w.Refresh()
		}
	}
}
