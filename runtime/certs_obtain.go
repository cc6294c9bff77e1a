package runtime

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"kasgen/internal/cli"
	"kasgen/internal/diag"
	"kasgen/runtime/certs"
	"kasgen/runtime/certs/acme"
	"kasgen/runtime/host"
)

// hostFor is this machine with the state directory moved.
func (b *Bundle) hostFor(log *slog.Logger, moved string) *host.Host {
	h := host.Machine(log)
	h.Path = func(path string) string { return b.Redirect(path, moved) }
	h.ReadFile = func(path string) ([]byte, error) { return os.ReadFile(h.Path(path)) }
	return h
}

// cached is what certs.yaml is about, as the cache has it, by the files that it
// is written to. A cache that is not there has nothing to say, and is not made
// for being asked.
func (b *Bundle) cached(ctx context.Context, moved string) map[string]certs.Status {
	if b.certs == nil {
		return nil
	}
	known := map[string]certs.Status{}
	for _, c := range b.certs.Certificates() {
		known[c.ID] = certs.Status{ID: c.ID, Source: "acme", Names: c.Names}
	}
	h := b.hostFor(slog.New(slog.DiscardHandler), moved)
	if dir := b.certs.CacheDirectory(); dir == "" || there(h.At(dir)) {
		src, done, err := b.certs.Open(ctx, h)
		if err != nil {
			for id, s := range known {
				s.Error = err.Error()
				known[id] = s
			}
		} else {
			defer done()
			for _, s := range src.Status() {
				known[s.ID] = s
			}
		}
	}
	files := map[string]certs.Status{}
	for _, c := range b.certs.Certificates() {
		for _, path := range []string{c.Certificate, c.Combined} {
			files[path] = known[c.ID]
		}
	}
	return files
}

func there(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// nothingObtained says that a bundle has nothing to do with a CA.
func nothingObtained(dir string) diag.Finding {
	return diag.Finding{Code: "KAS3304", Severity: diag.Error, Pos: diag.Pos{File: dir}, What: "the bundle obtains no certificate from a CA", Why: "it has no certs/certs.yaml",
		Fix: "nothing, where certificates are somebody else's; else render with tls.source: acme"}
}

// certsObtain obtains what is due, or everything.
func certsObtain(ctx context.Context, streams cli.IO, dir, moved string, all bool) error {
	b, err := Read(dir, All, Memory) // kas has no part in it
	if err != nil {
		return cli.Report(streams, cli.Text, err, b.Subjects()...)
	}
	if b.certs == nil {
		return cli.Report(streams, cli.Text, diag.Findings{nothingObtained(dir)}, b.Subjects()...)
	}
	log := slog.New(slog.NewTextHandler(streams.Err, nil))
	src, done, err := b.certs.Open(ctx, b.hostFor(log, moved))
	if err != nil {
		return cli.Exit{Code: cli.Failure, Err: err}
	}
	defer done()
	if all {
		err = src.Renew(ctx)
	} else {
		err = src.Issue(ctx)
	}
	if printed := printCertificates(streams.Out, src.Status()); printed != nil {
		return printed
	}
	if err != nil {
		return cli.Exit{Code: cli.Failure, Err: explained(err)}
	}
	return nil
}

// explained adds what people have to do where a CA did not get through.
func explained(err error) error {
	if acme.Unproved(err) {
		return fmt.Errorf("%w\n(the CA has to reach the edge, or port 80, of what runs these files with the same cache: `kasgen run`, here or on another node)", err)
	}
	return err
}
