package certs

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestTell lets a certificate of 30 days run out, and then puts another in its
// place: findings come with their codes, on their days and not more often.
func TestTell(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var l logged
		var status atomic.Pointer[Status]
		expires := func(at time.Time) { status.Store(&Status{ID: "kas.example.com", NotAfter: at}) }
		expires(time.Time{})
		const day = 24 * time.Hour
		began := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			Tell(ctx, slog.New(slog.NewJSONHandler(&l, nil)), func() []Status { return []Status{*status.Load()} })
		}()
		synctest.Wait()
		if got := l.String(); got != "" {
			t.Errorf("at the start, when a CA may be at work: %s", got)
		}
		time.Sleep(tellLook + time.Second)
		expires(began.Add(30 * day))
		time.Sleep(31 * day)
		expires(time.Now().Add(90 * day))
		time.Sleep(tellLook)
		cancel()
		<-done

		want := []string{"0 ERROR KAS3301", "0 INFO KAS3301"}
		for n := 10; n <= 31; n++ {
			level := "WARN"
			if n >= 23 {
				level = "ERROR"
			}
			want = append(want, fmt.Sprint(n, " ", level, " KAS3302"))
		}
		want = append(want, "31 INFO KAS3302")
		var got []string
		for line := range strings.Lines(l.String()) {
			var r struct {
				Time        time.Time
				Level, Code string
			}
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprint(int(r.Time.Sub(began)/day), " ", r.Level, " ", r.Code))
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("(-want +got):\n%s\n%s", d, l.String())
		}
	})
}

// TestTellTwo: two things are wrong with one certificate, and each is told once.
func TestTellTwo(t *testing.T) {
	t.Parallel()
	var l logged
	teller := teller{log: slog.New(slog.NewTextHandler(&l, nil)), told: map[finding]told{}}
	st := Status{ID: "kas.crt", NotAfter: time.Now().Add(Soon - time.Hour), Foreign: []string{"kas.example.com"}}
	said := func(code, level string) int {
		n := 0
		for line := range strings.Lines(l.String()) {
			if strings.Contains(line, "code="+code) && strings.Contains(line, "level="+level) {
				n++
			}
		}
		return n
	}
	for range 3 {
		teller.tell(t.Context(), []Status{st})
	}
	if a, b := said(CodeForeign, "ERROR"), said(CodeExpires, "WARN"); a != 1 || b != 1 {
		t.Errorf("told %d and %d times, want each once:\n%s", a, b, l.String())
	}
	st.NotAfter = time.Now().Add(2 * Soon)
	teller.tell(t.Context(), []Status{st})
	if n := said(CodeExpires, "INFO"); n != 0 {
		t.Error("a certificate is settled of which another thing is found")
	}
	st.Foreign = nil
	teller.tell(t.Context(), []Status{st})
	if n := said(CodeForeign, "INFO"); n != 1 {
		t.Errorf("settled %d times, want once:\n%s", n, l.String())
	}
}
