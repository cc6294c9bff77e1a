package readahead

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// More than the socket holds is written whole to a peer that reads late, by
// several at once, and no write is torn by another.
func TestWritesEverything(t *testing.T) {
	t.Parallel()
	c, client := pair(t)
	const writers, size = 4, 4 << 20
	whole := make([]byte, size)
	rand.Read(whole)
	var work sync.WaitGroup
	for i := range writers {
		work.Go(func() {
			p := bytes.Clone(whole)
			p[0] = byte(i)
			if n, err := c.Write(p); n != len(p) || err != nil {
				t.Errorf("%d of %d bytes were written: %v", n, len(p), err)
			}
		})
	}
	time.Sleep(20 * time.Millisecond) // the socket is full meanwhile
	var seen [writers]bool
	for range writers {
		got := make([]byte, size)
		if _, err := io.ReadFull(client, got); err != nil {
			t.Fatal(err)
		}
		seen[got[0]] = true
		if !bytes.Equal(got[1:], whole[1:]) {
			t.Error("writes are mixed")
		}
	}
	if seen != [writers]bool{true, true, true, true} {
		t.Errorf("of the writers %v were seen", seen)
	}
	work.Wait()
}

func TestWriteFails(t *testing.T) {
	t.Parallel()
	t.Run("deadline", func(t *testing.T) {
		t.Parallel()
		c, _ := pair(t)
		p := make([]byte, 64<<20)
		c.SetWriteDeadline(time.Now().Add(time.Second))
		n, err := c.Write(p)
		var e net.Error
		if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &e) || !e.Timeout() || n == 0 || n == 64<<20 {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
	t.Run("closed", func(t *testing.T) {
		t.Parallel()
		c, _ := pair(t)
		c.Close()
		if n, err := c.Write([]byte("x")); n != 0 || !errors.Is(err, net.ErrClosed) {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
	t.Run("reset", func(t *testing.T) {
		t.Parallel()
		c, client := pair(t)
		client.(*net.TCPConn).SetLinger(0)
		client.Close()
		var err error
		for deadline := time.Now().Add(10 * time.Second); err == nil && time.Now().Before(deadline); {
			_, err = c.Write(make([]byte, 1<<10))
		}
		var e *net.OpError
		if !errors.As(err, &e) || e.Timeout() {
			t.Errorf("writing to a peer that is gone: %v", err)
		}
	})
	t.Run("nothing", func(t *testing.T) {
		t.Parallel()
		c, _ := pair(t)
		if n, err := c.Write(nil); n != 0 || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
}
