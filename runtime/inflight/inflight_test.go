package inflight

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestWaitForNothing(t *testing.T) {
	t.Parallel()
	var g Group
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.Wait(gone); err != nil {
		t.Errorf("nothing is under way: %v", err)
	}
	g.Enter()()
	if err := g.Wait(gone); err != nil {
		t.Errorf("nothing is under way any more: %v", err)
	}
}

// TestWait: everybody who waits hears of the end, those who give up do not wait
// for it, and what begins afterwards is waited for anew.
func TestWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g Group
		one, two := g.Enter(), g.Enter()
		wait := func(ctx context.Context) <-chan error {
			ended := make(chan error, 1)
			go func() { ended <- g.Wait(ctx) }()
			synctest.Wait()
			return ended
		}
		ended := func(c <-chan error) bool {
			synctest.Wait()
			return len(c) == 1
		}
		short, giveUp := context.WithCancel(t.Context())
		first, second, third := wait(t.Context()), wait(t.Context()), wait(short)
		giveUp()
		if !ended(third) || !errors.Is(<-third, context.Canceled) {
			t.Error("who gives up waits on")
		}
		one()
		if ended(first) || ended(second) {
			t.Error("ended before all was")
		}
		three := g.Enter() // while somebody waits
		two()
		if ended(first) {
			t.Error("ended before what began meanwhile was")
		}
		three()
		if !ended(first) || !ended(second) || <-first != nil || <-second != nil {
			t.Error("not all who waited heard of the end")
		}
		four := g.Enter()
		if fourth := wait(t.Context()); ended(fourth) {
			t.Error("a second time ended at once")
		} else if four(); !ended(fourth) || <-fourth != nil {
			t.Error("a second time does not end")
		}
	})
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	var g Group
	var all sync.WaitGroup
	hold := g.Enter()
	for range 50 {
		all.Go(func() {
			for range 200 {
				leave := g.Enter()
				leave()
			}
		})
		all.Go(func() {
			if err := g.Wait(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	hold()
	all.Wait()
	if err := g.Wait(t.Context()); err != nil || g.n != 0 || g.idle != nil {
		t.Errorf("%v, %d under way", err, g.n)
	}
}
