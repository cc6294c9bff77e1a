package acme

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/acme/autocert"

	"kasgen/runtime/certs/atomicfile"
)

// lockPoll is how often a lock that another holds is tried again. flock(2) can
// wait by itself, but not be told to stop.
const lockPoll = 100 * time.Millisecond

// Directory is a cache of files that only their owner reads.
type Directory struct{ path string }

// OpenDirectory makes the directory if it is not there.
func OpenDirectory(path string) (*Directory, error) {
	if err := atomicfile.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	return &Directory{path}, nil
}

func (d *Directory) file(key string) (string, error) {
	if key == "" || strings.HasPrefix(key, ".") || strings.ContainsAny(key, "/\\\x00") {
		return "", fmt.Errorf("%q is no key of a cache", key)
	}
	return filepath.Join(d.path, key), nil
}

// Get is Cache's.
func (d *Directory) Get(_ context.Context, key string) ([]byte, error) {
	path, err := d.file(key)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, autocert.ErrCacheMiss
	}
	return data, err
}

// Put is Cache's.
func (d *Directory) Put(_ context.Context, key string, data []byte) error {
	path, err := d.file(key)
	if err != nil {
		return err
	}
	return atomicfile.Write(path, data, 0o600)
}

// Delete is Cache's.
func (d *Directory) Delete(_ context.Context, key string) error {
	path, err := d.file(key)
	if err != nil {
		return err
	}
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Lock is Cache's. The kernel frees the lock when its owner dies, so that none
// is ever stale, and takes it from nobody; its file stays, for to remove it
// would let two have it.
func (d *Directory) Lock(ctx context.Context, name string) (context.Context, func(), error) {
	path, err := d.file(name + ".lock")
	if err != nil {
		return nil, nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, nil, err
	}
	if err := atomicfile.Inherit(path); err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	tick := time.NewTicker(lockPoll)
	defer tick.Stop()
	for {
		got, err := lock(f)
		if err != nil {
			return nil, nil, errors.Join(fmt.Errorf("locking %s: %w", path, err), f.Close())
		}
		if got {
			locked, cancel := context.WithCancel(ctx)
			return locked, func() { cancel(); _ = f.Close() }, nil // which unlocks
		}
		select {
		case <-ctx.Done():
			return nil, nil, errors.Join(ctx.Err(), f.Close())
		case <-tick.C:
		}
	}
}
