package runtime

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"kasgen/internal/certsconf"
	"kasgen/internal/cli"
	"kasgen/internal/diag"
	"kasgen/runtime/certs"
	"kasgen/runtime/certs/pebble"
)

// rehearsing bounds a rehearsal: the test CA waits for up to five seconds before
// each validation.
const rehearsing = 2 * time.Minute

// showing bounds how long the front may take to show what was obtained: files
// are looked at every few seconds.
const showing = 3 * certs.Interval

// rehearsal runs those roles of a bundle that take part when a certificate is
// obtained: who obtains it, the edge and the front, with their own files. Moved
// are listeners, to free ports, what is written, to a scratch directory, and
// the CA, to one in this process. It tells what a CA on the internet would
// find, apart from DNS and firewalls.
func rehearsal(ctx context.Context, streams cli.IO, dir, moved string) (err error) {
	b, err := Read(dir, All, Memory) // kas has no part in it
	if err != nil {
		return cli.Report(streams, cli.Text, err, b.Subjects()...)
	}
	if b.certs == nil {
		return cli.Report(streams, cli.Text, diag.Findings{nothingObtained(dir)}, b.Subjects()...)
	}
	say := func(format string, args ...any) { fmt.Fprintf(streams.Out, format+"\n", args...) }
	scratch, err := os.MkdirTemp("", "kasgen-rehearsal-")
	if err != nil {
		return err
	}
	defer func() {
		if fault := os.RemoveAll(scratch); err == nil {
			err = fault
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, rehearsing)
	defer cancel()
	if err := b.rehearse(ctx, newStage(scratch, b, moved), say); err != nil {
		return cli.Report(streams, cli.Text, diag.Findings{{Code: "KAS3305", Severity: diag.Error, Pos: diag.Pos{File: dir}, What: "no certificate was obtained in the rehearsal: " + err.Error(),
			Why: "a CA would not get through either", Fix: "repair what the reason says; `kasgen topology show` draws the way"}}, b.Subjects()...)
	}
	return nil
}

func (b *Bundle) rehearse(ctx context.Context, s *stage, say func(string, ...any)) error {
	if b.certs.Challenge() == certsconf.HTTP01 {
		if _, ours := b.Cleartext(); !ours {
			return errors.New("http-01 is answered by somebody else's server on port 80, which is not of this bundle")
		}
	}
	pair, err := s.authority()
	if err != nil {
		return err
	}
	troupe := *b
	troupe.kas = nil // no stream is carried
	troupe.certs = b.certs.Rehearsal(filepath.Join(s.dir, "cache"), s.ca())
	begin := time.Now()
	r, err := troupe.Start(ctx, s.machine(), s.machine(), "rehearsal")
	if err != nil {
		return err
	}
	ca, err := b.testCA(ctx, s, pair, say)
	if err != nil {
		r.Close()
		return err
	}
	serving, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- r.Serve(serving) }()
	err = watched(ctx, r)
	for _, c := range r.Certificates() {
		if err == nil {
			say("obtained after %.1f s, in %d order: %s, by %s", time.Since(begin).Seconds(), ca.Orders(), strings.Join(c.Names, ", "), c.Issuer)
		}
	}
	if err == nil {
		err = b.shown(ctx, s, ca, say)
	}
	stop()
	return errors.Join(err, <-ended, ca.Close())
}

// testCA validates at the front's own listeners, wherever they are now.
func (b *Bundle) testCA(ctx context.Context, s *stage, pair tls.Certificate, say func(string, ...any)) (*pebble.Server, error) {
	from, err := url.Parse(b.CA())
	if err != nil {
		return nil, err
	}
	o := pebble.Options{Certificate: &pair, Directory: from.Path, Validity: 90 * 24 * time.Hour}
	at := b.Lock.Names.KAS.Listeners[0]
	port, asked := &o.TLSPort, 443
	if b.certs.Challenge() == certsconf.HTTP01 {
		at, _ = b.Cleartext()
		port, asked = &o.HTTPPort, 80
	}
	real, ok := s.Address(at)
	if !ok {
		return nil, fmt.Errorf("nothing listens on %s", at)
	}
	if *port, err = portOf(real); err != nil {
		return nil, err
	}
	if id, file := b.ExternalAccount(); id != "" {
		key, err := s.machine().ReadFile(file)
		if err != nil {
			return nil, err
		}
		// With padding or without, as provision reads it; the CA wants none.
		o.ExternalAccounts = map[string]string{id: strings.TrimRight(strings.TrimSpace(string(key)), "=")}
	}
	ca, err := pebble.Start(ctx, o)
	if err != nil {
		return nil, err
	}
	name := from.Port()
	if name == "" {
		name = "443"
	}
	s.Name(net.JoinHostPort(from.Hostname(), name), ca.Address())
	if listens, err := portOf(at); err == nil && listens != asked {
		say("warning: KAS1710: %s is answered at %s, and a CA asks on port %d: something on the way has to map it", b.certs.Challenge(), at, asked)
	}
	say("a test CA stands in for %s and validates by %s at %s, which is %s here", from.Host, b.certs.Challenge(), at, real)
	return ca, nil
}

// watched returns when there is every certificate, or with why there is none.
func watched(ctx context.Context, r *Running) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		ready := true
		for _, c := range r.Certificates() {
			if c.Failures > 0 {
				return errors.New(c.Error)
			}
			ready = ready && c.Ready(time.Now())
		}
		if ready {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// shown looks at what clients of each name get. nginx and HAProxy have read it
// from files, a moment after it was obtained.
func (b *Bundle) shown(ctx context.Context, s *stage, ca *pebble.Server, say func(string, ...any)) error {
	at, ok := s.Address(b.Lock.Names.KAS.Listeners[0])
	if !ok {
		return fmt.Errorf("nothing listens on %s", b.Lock.Names.KAS.Listeners[0])
	}
	ctx, cancel := context.WithTimeout(ctx, showing)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for _, name := range b.certs.Names() {
		to := at
		if g := b.Lock.Names.GRPC; g != nil && g.Name == name {
			if own, ok := s.Address(g.Listeners[0]); ok {
				to = own
			}
		}
		var last error
		for {
			d := tls.Dialer{Config: &tls.Config{ServerName: name, RootCAs: ca.Roots(), NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12}}
			conn, err := d.DialContext(ctx, "tcp", to)
			if err == nil {
				conn.Close()
				break
			}
			var slow net.Error
			// The end of the time is no reason; a dial may see it before ctx does.
			if last == nil || ctx.Err() == nil && (!errors.As(err, &slow) || !slow.Timeout()) {
				last = err
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				return fmt.Errorf("clients of %s do not get the certificate: %w", name, last)
			}
		}
		say("clients of %s get it", name)
	}
	return nil
}

func portOf(address string) (int, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(port)
}
