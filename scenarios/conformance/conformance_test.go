package conformance

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"kasgen/runtime/native"
)

var (
	update = flag.Bool("update", false, "record what the real programs do")
	only   = flag.String("books", "*", "the pattern of the files to run")
)

// How many stages are open at the same time, and how many behaviours are
// performed on each: they mostly wait, but what has to come within a limit must
// not wait for the machine.
const (
	stagesAtOnce     = 4
	behavioursAtOnce = 8
)

// transcripts are what behaviours of a book came to on a front.
type transcripts struct {
	front front
	of    map[*behaviour]string
	log   string
	err   error
}

// TestConformance performs every behaviour on every front that can read its
// file.
func TestConformance(t *testing.T) {
	books, err := readBooks()
	if err != nil {
		t.Fatal(err)
	}
	missing := missingPrograms(t)
	room := make(chan struct{}, stagesAtOnce)
	for _, b := range books {
		name := strings.TrimSuffix(filepath.Base(b.path), ".txtar")
		if ok, err := filepath.Match(*only, name); err != nil || !ok {
			continue
		}
		t.Run(name, func(t *testing.T) {
			var all []*transcripts
			var work sync.WaitGroup
			for _, f := range b.fronts(missing) {
				ts := &transcripts{front: f}
				all = append(all, ts)
				work.Go(func() {
					room <- struct{}{}
					defer func() { <-room }()
					ts.run(b)
				})
			}
			t.Parallel()
			work.Wait()
			if *update {
				rewrite(t, b, all)
			}
			for _, ts := range all {
				t.Run(ts.front.String(), func(t *testing.T) { ts.judge(t, b) })
			}
		})
	}
}

// fronts are those that can read the book.
func (b *book) fronts(missing map[kind]bool) []front {
	var all []front
	for _, k := range kinds() {
		if _, ok := b.configs[k]; !ok {
			continue
		}
		if !missing[k] {
			all = append(all, front{k, false})
		}
		all = append(all, front{k, true})
	}
	return all
}

// missingPrograms are the real programs that are not installed, which in CI is
// a failure.
func missingPrograms(t *testing.T) map[kind]bool {
	missing := map[kind]bool{}
	for _, k := range kinds() {
		_, err := native.Find(native.Config{Kind: k.program(), Stream: k == nginxKind}, "")
		if err == nil && k == nginxKind {
			_, err = os.Stat(streamModule)
		}
		switch {
		case err == nil:
			tally.found(k)
		case os.Getenv("CI") == "true":
			t.Errorf("%s: %v, and CI wants it", k, err)
			missing[k] = true
		default:
			t.Logf("skipping the real %s, only what it was recorded to do is compared: %v", k, err)
			missing[k] = true
		}
	}
	return missing
}

// run performs the behaviours of a book.
func (ts *transcripts) run(b *book) {
	ts.of = map[*behaviour]string{}
	s, err := newStage(context.Background(), b, ts.front)
	if err != nil {
		ts.err = err
		return
	}
	var mu sync.Mutex
	perform := func(one *behaviour) {
		text := s.perform(one)
		mu.Lock()
		defer mu.Unlock()
		ts.of[one] = text
	}
	var work sync.WaitGroup
	room := make(chan struct{}, behavioursAtOnce)
	for _, one := range b.behaviours {
		room <- struct{}{}
		work.Go(func() {
			perform(one)
			<-room
		})
		if b.ordered {
			work.Wait()
		}
	}
	work.Wait()
	ts.err = s.stop()
	ts.log = s.said.String()
}

// judge compares and counts.
func (ts *transcripts) judge(t *testing.T, b *book) {
	if ts.err != nil && len(ts.of) == 0 {
		tally.failed(len(b.behaviours))
		t.Fatalf("%v\n%s", ts.err, ts.log)
	} else if ts.err != nil {
		t.Error(ts.err)
	}
	for _, one := range b.behaviours {
		t.Run(one.name, func(t *testing.T) {
			want, apart := one.expected(ts.front.String())
			diff := cmp.Diff(want, ts.of[one])
			tally.note(b, one, ts.front, apart, diff == "")
			switch {
			case diff != "":
				t.Errorf("%s does otherwise than %s says (-recorded +done):\n%s", ts.front, b.path, diff)
			case apart != nil && want == one.want:
				t.Errorf("%s says that %s differs, and it does not", b.path, ts.front)
			case apart != nil:
				t.Logf("differs as expected: %s", apart.reason)
			}
		})
	}
	if t.Failed() && ts.log != "" {
		t.Logf("%s said:\n%s", ts.front, ts.log)
	}
}

// rewrite records what the real programs did, and fronts that differ on
// purpose.
func rewrite(t *testing.T, b *book, all []*transcripts) {
	for _, ts := range all {
		if ts.err != nil {
			t.Error(ts.err)
			return
		}
	}
	for _, one := range b.behaviours {
		for i := len(all) - 1; i >= 0; i-- { // the first real program has the last word
			if !all[i].front.embedded {
				one.want = all[i].of[one]
			}
		}
		for _, d := range one.apart {
			for _, ts := range all {
				if ts.front.String() == d.fronts[0] {
					d.want = ts.of[one]
				}
			}
		}
		b.archive.Files[one.section].Data = []byte(one.text())
	}
	if err := os.WriteFile(b.path, txtar.Format(b.archive), 0o644); err != nil {
		t.Error(err)
	}
}
