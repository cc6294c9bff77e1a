package certs

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"kasgen/runtime/state"
)

// Interval is how often files are read again. It bounds how long a new
// certificate waits; reading a few KiB costs some 20 µs.
const Interval = 5 * time.Second

// Pair is where a certificate, with its chain, and its key lie. They may be one
// file.
type Pair struct {
	Certificate, Key string
}

// FilesOptions say how files are read.
type FilesOptions struct {
	Log      *slog.Logger
	ReadFile func(path string) ([]byte, error)
	Interval time.Duration // 0: Interval
	Now      func() time.Time
	// Served says of pairs which names clients ask for. What it does not list is
	// not held to names.
	Served []Served
}

// Files is certificates on disk. Their content is what is watched: times and
// inodes miss a change within a clock tick, and inotify misses those of network
// file systems and of the links that Kubernetes swaps above the file.
type Files struct {
	Set
	o     FilesOptions
	kind  string
	mu    sync.Mutex // of pairs' fields
	pairs []*pair
}

type pair struct {
	Served
	seen     [sha256.Size]byte // of the content that was read last
	doubtful bool              // that content was broken, once
	status   Status
}

// OpenFiles reads every pair. All of them must work: a process that starts with
// half of its names is worse than one that says why it does not start.
func OpenFiles(pairs []Pair, o FilesOptions) (*Files, error) {
	return openFiles("files", pairs, o)
}

// OpenDevelopment is OpenFiles for pairs of the development CA, which makes
// those that are missing.
func OpenDevelopment(items []state.Item, o FilesOptions) (*Files, error) {
	if _, err := state.Ensure(items); err != nil {
		return nil, err
	}
	var pairs []Pair
	for _, i := range items {
		if i.Kind == state.Certificate {
			pairs = append(pairs, Pair{Certificate: i.Path, Key: state.KeyPath(i.Path)})
		}
	}
	return openFiles("development", pairs, o)
}

func openFiles(kind string, pairs []Pair, o FilesOptions) (*Files, error) {
	if o.Interval == 0 {
		o.Interval = Interval
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	f := &Files{o: o, kind: kind}
	var faults []error
	for _, p := range pairs {
		one := &pair{Served: Served{Pair: p}, status: Status{ID: p.Certificate, Source: kind}}
		if at := slices.IndexFunc(o.Served, func(s Served) bool { return s.Pair == p }); at >= 0 {
			one.Served = o.Served[at]
		}
		f.pairs = append(f.pairs, one)
		if err := f.read(one, true); err != nil {
			faults = append(faults, err)
		}
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return f, nil
}

// Run is Source's.
func (f *Files) Run(ctx context.Context) error {
	tick := time.NewTicker(f.o.Interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			f.Reload()
		}
	}
}

// Reload reads the files now. A pair that does not work is reported when it is
// read so twice, for between two reads its writer may have been half done; the
// certificate in use stays.
func (f *Files) Reload() {
	for _, p := range f.pairs {
		if err := f.read(p, false); err != nil {
			f.o.Log.Error("a certificate on disk does not work; the one in use stays", "error", err)
		}
	}
}

func (f *Files) read(p *pair, first bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	cert, errCert := f.o.ReadFile(p.Certificate)
	key, errKey := f.o.ReadFile(p.Key)
	h := sha256.New()
	fmt.Fprintf(h, "%d %d ", len(cert), len(key))
	h.Write(cert)
	h.Write(key)
	sum := [sha256.Size]byte(h.Sum(nil))
	same := !first && sum == p.seen
	p.seen = sum
	if same && !p.doubtful {
		return nil
	}
	var c *tls.Certificate
	err := errors.Join(errCert, errKey)
	if err == nil {
		if c, err = Parse(cert, key); err != nil {
			err = fmt.Errorf("certificate %s with key %s: %w", p.Certificate, p.Key, err)
		}
	}
	if err != nil {
		if p.doubtful = !same && !first; p.doubtful {
			return nil
		}
		p.status.Failures++
		p.status.Error = err.Error()
		return err
	}
	p.doubtful = false
	p.status.Error = ""
	if f.Put(p.Certificate, c) {
		p.status.Renewed = f.o.Now()
		if first {
			p.status.Renewed = c.Leaf.NotBefore // nobody here saw it come
		}
		p.status.Names, p.status.Foreign = Names(c.Leaf), p.foreign(c.Leaf)
		p.status.Describe(c.Leaf)
		if !first {
			f.o.Log.Info("a certificate on disk has changed", "file", p.Certificate, "names", p.status.Names, "expires", c.Leaf.NotAfter)
		}
	}
	return nil
}

// Status is Source's.
func (f *Files) Status() []Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]Status, len(f.pairs))
	for i, p := range f.pairs {
		all[i] = p.status
	}
	return all
}
