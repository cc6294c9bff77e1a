package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"os"
	"slices"
	"time"

	"kasgen/runtime/certs/atomicfile"
)

// Output is where a certificate is written for those that read files. A path
// may be empty.
type Output struct {
	ID          string
	Certificate string // with its chain, as nginx reads it
	Key         string
	Combined    string // certificate, chain and key, as HAProxy reads it
}

// Write writes what differs, with mode 0600, and says whether anything did. Key
// and certificate are two files and cannot change at one moment: who reads them
// must be told afterwards. The key comes first, so that a certificate on disk
// always has had its key there.
func Write(o Output, c *tls.Certificate) (bool, error) {
	cert, key, err := Encode(c)
	if err != nil {
		return false, err
	}
	changed := false
	for _, f := range []struct {
		path string
		data []byte
	}{{o.Combined, slices.Concat(cert, key)}, {o.Key, key}, {o.Certificate, cert}} {
		if f.path == "" {
			continue
		}
		if there, err := os.ReadFile(f.path); err == nil && bytes.Equal(there, f.data) {
			continue
		}
		if err := atomicfile.Write(f.path, f.data, 0o600); err != nil {
			return changed, err
		}
		changed = true
	}
	return changed, nil
}

// How long to wait after an export that failed: a full disk or a server that
// does not reload may need a person, a missing moment does not.
const (
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// Export writes certificates whenever they change.
type Export struct {
	Log     *slog.Logger
	Source  Source
	Outputs []Output
	// Changed is called after files have changed, for a reload. After an error
	// it is called again.
	Changed func(ctx context.Context) error
	// Retry is the first wait after a failure; 0 is one second.
	Retry time.Duration
}

// Run writes what there is and then each change, until ctx is done.
func (e *Export) Run(ctx context.Context) error {
	changed, cancel := e.Source.Subscribe()
	defer cancel()
	first := e.Retry
	if first == 0 {
		first = firstRetry
	}
	told, wait := true, first
	for {
		wrote, err := e.write()
		told = told && !wrote
		if !told && e.Changed != nil && err == nil {
			err = e.Changed(ctx)
		}
		var again <-chan time.Time
		if err != nil && ctx.Err() == nil {
			e.Log.Error("a certificate could not be handed on", "error", err, "retry", wait)
			again = time.After(wait)
			wait = min(2*wait, lastRetry)
		} else {
			told, wait = true, first
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-again:
		}
	}
}

func (e *Export) write() (bool, error) {
	var faults []error
	changed := false
	for _, o := range e.Outputs {
		c := e.Source.Certificate(o.ID)
		if c == nil {
			continue
		}
		wrote, err := Write(o, c)
		changed = changed || wrote
		faults = append(faults, err)
	}
	return changed, errors.Join(faults...)
}
