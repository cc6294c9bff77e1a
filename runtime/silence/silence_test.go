package silence_test

import (
	"testing"
	"testing/synctest"
	"time"

	"kasgen/runtime/silence"
)

func TestWatch(t *testing.T) {
	t.Parallel()
	const limit = time.Minute
	tests := map[string]struct {
		do   func(w *silence.Watch)
		want time.Duration // of the silence's end, 0 if it has none
	}{
		"not started":           {func(*silence.Watch) {}, 0},
		"silent":                {func(w *silence.Watch) { w.Start() }, limit},
		"touched":               {func(w *silence.Watch) { w.Start(); time.Sleep(50 * time.Second); w.Touch() }, limit + 50*time.Second},
		"stopped":               {func(w *silence.Watch) { w.Start(); w.Stop() }, 0},
		"started after its end": {func(w *silence.Watch) { w.Start(); w.Stop(); w.Start() }, 0},
		"paused":                {func(w *silence.Watch) { w.Start(); w.Pause() }, 0},
		"paused past the timer, then started": {func(w *silence.Watch) {
			w.Start()
			w.Pause()
			time.Sleep(2 * limit)
			w.Start()
		}, 3 * limit},
		"paused and started within the timer": {func(w *silence.Watch) {
			w.Start()
			time.Sleep(limit / 2)
			w.Pause()
			w.Start()
		}, limit + limit/2},
		"heard elsewhere": {func(w *silence.Watch) {
			asked := 0
			w.Probe(func() time.Duration {
				if asked++; asked == 1 {
					return limit / 4
				}
				return limit
			})
			w.Start()
		}, limit + limit*3/4},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				var ended time.Duration
				w := silence.New(limit, func() { ended = time.Since(began) })
				tt.do(w)
				time.Sleep(time.Hour)
				synctest.Wait()
				if ended != tt.want || w.Expired() != (tt.want > 0) {
					t.Errorf("ended after %v (%v), want %v", ended, w.Expired(), tt.want)
				}
				w.Stop()
			})
		})
	}
}

// TestNoLimit is a watch that is none.
func TestNoLimit(t *testing.T) {
	t.Parallel()
	w := silence.New(0, func() { t.Error("it spoke") })
	w.Probe(nil)
	w.Start()
	w.Touch()
	w.Pause()
	w.Stop()
	if w != nil || w.Expired() {
		t.Error("no limit is a limit")
	}
}
