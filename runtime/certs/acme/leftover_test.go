package acme

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/acme/autocert"

	"kasgen/runtime/certs/pebble"
)

// left says whether an entry of a cache is of an order under way.
func left(entry string) bool { return regexp.MustCompile(`\+(alpn|token|answer)$`).MatchString(entry) }

// leftIn are the entries of orders under way in a directory.
func leftIn(t *testing.T, dir string) []string {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range files {
		if left(f.Name()) {
			names = append(names, f.Name())
		}
	}
	return names
}

// killed is a cache of a process that comes to tidy up no more.
type killed struct{ Cache }

func (killed) Delete(context.Context, string) error { return nil }

// TestLeftovers: who takes a certificate's lock after one that was killed takes
// away its answers to challenges, and nobody else's.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	for _, challenge := range []Challenge{TLSALPN01, HTTP01} {
		t.Run(string(challenge), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, pebble.Options{})
			dir := t.TempDir()
			o := w.options(dir)
			o.Challenges, o.Webroot = []Challenge{challenge}, t.TempDir()
			first := o
			first.Cache = killed{o.Cache}
			if err := w.replica(first).Issue(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.leave()
			was := leftIn(t, dir)
			if len(was) != 2 {
				t.Fatalf("of who was killed %v is left, want an answer and the word of it", was)
			}
			s := w.replica(o)
			web := s.webFile("x")
			for _, entry := range was {
				if name, ok := strings.CutSuffix(entry, "+token"); ok { // and what would be in the webroot
					web = s.webFile(name[strings.LastIndex(name, "+")+1:])
				}
			}
			if err := errors.Join(mkdirPublic(filepath.Dir(web)), os.WriteFile(web, nil, 0o600)); err != nil {
				t.Fatal(err)
			}
			// Others' answers: of another certificate, and of another CA.
			ctx := t.Context()
			others := []string{s.alpnKey(grpc), s.laidKey(grpc), s.httpKey("another"), "ca.invalid+0a1b2c3d+" + kas + "+alpn"}
			for _, entry := range others {
				if err := o.Cache.Put(ctx, entry, []byte("{}")); err != nil {
					t.Fatal(err)
				}
			}
			// It takes the lock, and orders nothing.
			s.putRecord(ctx, s.certs[0], record{Until: time.Now().Add(time.Hour), Asked: true, Failures: 1, Error: "too many"})
			if err := s.Renew(ctx); err == nil || len(w.placed()) != 1 {
				t.Fatalf("renewed, against the CA's word: %v, %d orders", err, len(w.placed()))
			}
			slices.Sort(others)
			if d := cmp.Diff(others, leftIn(t, dir)); d != "" {
				t.Errorf("answers in the cache (-want +got):\n%s", d)
			}
			if _, err := os.Stat(web); (challenge == HTTP01) != errors.Is(err, os.ErrNotExist) {
				t.Errorf("the file in the webroot: %v", err)
			}
		})
	}
}

// TestLeftoverOfAnother: what the word names has become another's meanwhile, or
// is no answer. It stays, and the word goes.
func TestLeftoverOfAnother(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	o := quiet(t)
	o.Webroot = t.TempDir()
	s, err := New(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	c := s.certs[0]
	outside := filepath.Join(filepath.Dir(s.webFile("x")), "..", "outside")
	if err := errors.Join(mkdirPublic(filepath.Dir(s.webFile("x"))), os.WriteFile(outside, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	const another = "another's"
	for _, entry := range []string{s.alpnKey(c.id), s.httpKey("token"), s.prefix + accountName, s.certKey(c), "elsewhere+alpn", s.prefix + "../outside+token"} {
		if !strings.Contains(entry, "/") { // which no entry has
			if err := o.Cache.Put(ctx, entry, []byte(another)); err != nil {
				t.Fatal(err)
			}
		}
		data, err := json.Marshal(laid{Entry: entry, Sum: []byte("of what was there")})
		if err == nil {
			err = o.Cache.Put(ctx, s.laidKey(c.id), data)
		}
		if err != nil {
			t.Fatal(err)
		}
		s.sweep(ctx, c)
		if got, err := o.Cache.Get(ctx, entry); !strings.Contains(entry, "/") && (err != nil || string(got) != another) {
			t.Errorf("%s: %q, %v", entry, got, err)
		}
		if _, err := o.Cache.Get(ctx, s.laidKey(c.id)); !errors.Is(err, autocert.ErrCacheMiss) {
			t.Errorf("the word of %s: %v", entry, err)
		}
	}
	if _, err := os.Stat(outside); err != nil {
		t.Error(err)
	}
}

// TestLostLockLeavesAnswer: who has lost the lock leaves the answer that its
// successor has laid in its place, and the successor's sweep takes away what
// there still is of it.
func TestLostLockLeavesAnswer(t *testing.T) {
	t.Parallel()
	for _, succeeded := range []bool{true, false} {
		o := quiet(t)
		s, err := New(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		c := s.certs[0]
		entry := s.alpnKey(c.id)
		locked, lose := context.WithCancelCause(t.Context())
		if err := s.lay(locked, c.id, entry, []byte("of who loses")); err != nil {
			t.Fatal(err)
		}
		lose(ErrLockLost)
		if succeeded {
			s.sweep(t.Context(), c)
			if err := s.lay(t.Context(), c.id, entry, []byte("the successor's")); err != nil {
				t.Fatal(err)
			}
		}
		s.lift(locked, c.id, entry)
		if !succeeded {
			s.sweep(t.Context(), c)
		}
		answer, err := o.Cache.Get(t.Context(), entry)
		_, word := o.Cache.Get(t.Context(), s.laidKey(c.id))
		if succeeded && (string(answer) != "the successor's" || word != nil) {
			t.Errorf("the successor's answer: %q, %v; the word of it: %v", answer, err, word)
		}
		if !succeeded && (!errors.Is(err, autocert.ErrCacheMiss) || !errors.Is(word, autocert.ErrCacheMiss)) {
			t.Errorf("after a sweep there is an answer, %q, %v, or a word: %v", answer, err, word)
		}
	}
}
