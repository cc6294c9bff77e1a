package runtime

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"kasgen/internal/lockfile"
	"kasgen/runtime/certs"
	"kasgen/runtime/certs/atomicfile"
	"kasgen/runtime/host"
)

// combiner keeps up the files that HAProxy reads a certificate and its key
// from, where somebody else provides the two apart.
type combiner struct {
	host    *host.Host
	of      []lockfile.Combined
	changed func(context.Context) error
	retire  sync.Once
	retired chan struct{}

	mu    sync.Mutex
	files *certs.Files // nil while a pair does not work
	fault certs.Status // of it then
}

// newCombiner writes what is missing or old. A pair that does not work is no
// fault as long as HAProxy has something to start with.
func newCombiner(h *host.Host, of []lockfile.Combined, changed func(context.Context) error) (*combiner, error) {
	c := &combiner{host: h, changed: changed, retired: make(chan struct{})}
	for _, m := range of {
		// Who puts the file there by other means has no need of the two.
		if missing(h, m.CertificateFile) && missing(h, m.KeyFile) && !missing(h, m.CombinedFile) {
			h.Log.Info("a certificate and its key are not there apart; the combined file is somebody else's", "file", m.CombinedFile)
			continue
		}
		c.of = append(c.of, m)
	}
	err := c.open()
	if err == nil {
		return c, nil
	}
	for _, m := range c.of {
		s := certs.Served{Pair: certs.Pair{Certificate: m.CombinedFile, Key: m.CombinedFile}}
		if there := s.Inspect(h.ReadFile); there.NotAfter.IsZero() {
			return nil, fmt.Errorf("combining certificate and key for HAProxy: %w", err)
		}
	}
	h.Log.Error("a certificate on disk does not work; the one that was combined before stays", "error", err)
	return c, nil
}

func missing(h *host.Host, path string) bool {
	_, err := h.ReadFile(path)
	return errors.Is(err, fs.ErrNotExist)
}

// open reads the pairs and writes what they make.
func (c *combiner) open() error {
	var pairs []certs.Pair
	for _, m := range c.of {
		pairs = append(pairs, certs.Pair{Certificate: m.CertificateFile, Key: m.KeyFile})
	}
	files, err := certs.OpenFiles(pairs, certs.FilesOptions{Log: c.host.Log, ReadFile: c.host.ReadFile})
	if err == nil {
		for _, o := range c.outputs() {
			if err = atomicfile.MkdirAll(filepath.Dir(o.Combined), 0o700); err == nil {
				_, err = certs.Write(o, files.Certificate(o.ID))
			}
			if err != nil {
				break
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.fault.Failures++
		c.fault.Error = err.Error()
		return err
	}
	c.files = files
	return nil
}

func (c *combiner) outputs() []certs.Output {
	var all []certs.Output
	for _, m := range c.of {
		all = append(all, certs.Output{ID: m.CertificateFile, Combined: c.host.At(m.CombinedFile)})
	}
	return all
}

// Serve implements server.
func (c *combiner) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-c.retired:
			cancel()
		case <-ctx.Done():
		}
	}()
	if !c.awaitFiles(ctx) {
		return nil
	}
	var work sync.WaitGroup
	work.Go(func() { _ = c.files.Run(ctx) }) // ends with ctx, which is no error
	export := certs.Export{Log: c.host.Log, Source: c.files, Outputs: c.outputs(), Changed: c.changed}
	err := export.Run(ctx)
	work.Wait()
	return err
}

// awaitFiles waits for pairs that work.
func (c *combiner) awaitFiles(ctx context.Context) bool {
	tick := time.NewTicker(certs.Interval)
	defer tick.Stop()
	for c.files == nil {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
		if c.open() == nil {
			c.host.Log.Info("the certificate works now")
			if err := c.changed(ctx); err != nil {
				c.host.Log.Error("a certificate could not be handed on", "error", err)
			}
		}
	}
	return true
}

// Status is of the pairs that are combined.
func (c *combiner) Status() []certs.Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.files != nil {
		return c.files.Status()
	}
	var all []certs.Status
	for _, m := range c.of {
		s := certs.Served{Pair: certs.Pair{Certificate: m.CertificateFile, Key: m.KeyFile}}.Inspect(c.host.ReadFile)
		if s.Error != "" {
			s.Failures = c.fault.Failures
		}
		all = append(all, s)
	}
	return all
}

// Retire implements server.
func (c *combiner) Retire() { c.retire.Do(func() { close(c.retired) }) }

// Close implements server.
func (c *combiner) Close() {}

// Addrs implements server.
func (c *combiner) Addrs() map[string]net.Addr { return nil }

// combines are the files that the front needs put together.
func (b *Bundle) combines() []lockfile.Combined {
	if b.Lock == nil || b.Lock.Certificates == nil || b.haproxy == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(b.Lock.Certificates.Combined), func(m lockfile.Combined) bool {
		return !slices.Contains(b.haproxy.Files(), m.CombinedFile)
	})
}

// drain is how long streams live on at a stop of the front, where its own files
// do not say.
func (b *Bundle) drain() (limit time.Duration, known bool) {
	switch {
	case b.certs != nil:
		return b.certs.Drain(), true
	case b.Lock != nil && b.Lock.Certificates != nil:
		return time.Duration(b.Lock.Certificates.Drain), true
	}
	return 0, false
}
