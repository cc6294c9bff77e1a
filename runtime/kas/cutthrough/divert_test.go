package cutthrough

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
)

// transports are what a connection may lie on.
func transports() map[string]struct {
	server creds
	client []grpc.DialOption
} {
	https := httptest.NewUnstartedServer(nil)
	https.StartTLS()
	defer https.Close()
	pair := https.TLS.Certificates
	return map[string]struct {
		server creds
		client []grpc.DialOption
	}{
		"socket": {},
		"hidden": {server: creds{hide: true}},
		"TLS": {server: creds{tls: &tls.Config{Certificates: pair, NextProtos: []string{"h2"}}},
			client: []grpc.DialOption{grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{InsecureSkipVerify: true}))}},
	}
}

// TestEverythingArrives sends messages of every size on many streams, of which
// each is diverted at a point of its own, and compares what arrives.
func TestEverythingArrives(t *testing.T) {
	t.Parallel()
	random := make([]byte, 1<<20)
	rand.Read(random)
	for name, tt := range transports() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := dial(t, serve(t, tt.server, digest), tt.client...)
			var work sync.WaitGroup
			defer work.Wait()
			for i := range 8 {
				work.Go(func() {
					dice := mathrand.New(mathrand.NewPCG(1, uint64(i)))
					var o []grpc.CallOption
					if i%2 == 0 {
						o = append(o, grpc.UseCompressor(gzip.Name))
					}
					if err := exchange(t, conn, dice, random, o); err != nil {
						t.Errorf("stream %d: %v", i, err)
					}
				})
			}
		})
	}
}

// exchange sends messages and compares the digest that comes back.
func exchange(t *testing.T, conn *grpc.ClientConn, dice *mathrand.Rand, random []byte, o []grpc.CallOption) error {
	stream, cancel := open(t, conn, o...)
	defer cancel()
	// What the server does: when it diverts, and how.
	plan := binary.BigEndian.AppendUint32(nil, dice.Uint32N(6))
	plan = append(plan, byte(dice.UintN(3)))
	if err := stream.SendMsg(plan); err != nil {
		return err
	}
	sum := sha256.New()
	for range 15 {
		size := [...]int{0, 1, dice.IntN(100), dice.IntN(1 << 14), dice.IntN(1 << 16), 32 << 10, dice.IntN(1 << (15 + dice.IntN(6)))}[dice.IntN(7)]
		at := dice.IntN(len(random) - size + 1)
		m := random[at : at+size]
		if dice.IntN(3) == 0 {
			m = make([]byte, size) // compresses well
		}
		fmt.Fprint(sum, len(m), ":")
		sum.Write(m)
		if err := stream.SendMsg(m); err != nil {
			return err
		}
		if dice.IntN(8) == 0 {
			time.Sleep(time.Millisecond) // lets the server catch up and wait
		}
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	var got []byte
	if err := stream.RecvMsg(&got); err != nil {
		return err
	}
	if !bytes.Equal(got, sum.Sum(nil)) {
		return errors.New("other bytes arrived than were sent")
	}
	if err := stream.RecvMsg(&got); !errors.Is(err, io.EOF) {
		return fmt.Errorf("after the digest came %w", err)
	}
	return nil
}

// digest receives everything and answers with its digest.
func digest(r *receiver) error {
	plan, err := r.next()
	if err != nil {
		return err
	}
	sum := sha256.New()
	add := func(p []byte) {
		fmt.Fprint(sum, len(p), ":")
		sum.Write(p)
	}
	at := uint64(binary.BigEndian.Uint32(plan)) + 1
	i := 0
	handler := func(m mem.Buffer) bool {
		// Some are left for the receiver.
		if i++; i%5 == 0 {
			return false
		}
		add(m.ReadOnlyData())
		return true
	}
	if plan[4] == 0 {
		handler = nil
	}
	for {
		if r.received == at && !r.diverted {
			if err := r.divert(handler); err != nil {
				return err
			}
		}
		p, err := r.next()
		switch {
		case errors.Is(err, io.EOF):
			return r.SendMsg(sum.Sum(nil))
		case err != nil:
			return err
		}
		add(p)
		if plan[4] == 2 && len(p)%7 == 0 {
			time.Sleep(time.Millisecond) // a receiver that is slower than its peer
		}
	}
}

// A stream that nobody receives takes no more than its window, and others on
// the connection go on.
func TestSlowReceiver(t *testing.T) {
	t.Parallel()
	for name, tt := range transports() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			release := make(chan struct{})
			conn := dial(t, serve(t, tt.server, func(r *receiver) error {
				kind, err := r.next()
				if err != nil {
					return err
				}
				if err := r.divert(nil); err != nil {
					return err
				}
				if string(kind) == "slow" {
					<-release
				}
				n, err := r.drain()
				if err != nil {
					return err
				}
				return r.SendMsg(fmt.Append(nil, n))
			}), tt.client...)
			chunk := make([]byte, 32<<10)
			slow, _ := open(t, conn)
			slow.SendMsg([]byte("slow"))
			const total = 8 << 20
			var sent int
			var mu sync.Mutex
			done := make(chan error, 1)
			go func() {
				for n := 0; n < total; n += len(chunk) {
					if err := slow.SendMsg(chunk); err != nil {
						done <- err
						return
					}
					mu.Lock()
					sent += len(chunk)
					mu.Unlock()
				}
				done <- slow.CloseSend()
			}()
			for range 3 {
				flow(t, conn, chunk, total)
			}
			mu.Lock()
			// The window, and what the client keeps for itself.
			if limit := streamWindow + 256<<10; sent > limit {
				t.Errorf("%d bytes were taken from a stream that nobody receives", sent)
			}
			mu.Unlock()
			close(release)
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			expect(t, slow, total)
		})
	}
}

// flow sends n bytes and expects them to be counted.
func flow(t *testing.T, conn *grpc.ClientConn, chunk []byte, n int) {
	t.Helper()
	s, cancel := open(t, conn)
	defer cancel()
	s.SendMsg([]byte("fast"))
	for sent := 0; sent < n; sent += len(chunk) {
		if err := s.SendMsg(chunk); err != nil {
			t.Fatal(err)
		}
	}
	s.CloseSend()
	expect(t, s, n)
}

func expect(t *testing.T, s grpc.ClientStream, n int) {
	t.Helper()
	var got []byte
	if err := s.RecvMsg(&got); err != nil {
		t.Fatal(err)
	}
	if string(got) != fmt.Sprint(n) {
		t.Errorf("%s bytes arrived of %d", got, n)
	}
}

// Streams that the server ends in the middle leave the connection as it was:
// more is thrown away here than its window holds.
func TestServerEndsStreams(t *testing.T) {
	t.Parallel()
	conn := dial(t, serve(t, creds{}, func(r *receiver) error {
		kind, err := r.next()
		if err != nil {
			return err
		}
		var handler Handler
		if string(kind) != "fast" {
			handler = func(mem.Buffer) bool { return true }
		}
		if err := r.divert(handler); err != nil {
			return err
		}
		if handler == nil {
			n, err := r.drain()
			if err != nil {
				return err
			}
			return r.SendMsg(fmt.Append(nil, n))
		}
		ctx, cancel := context.WithTimeout(r.Context(), 5*time.Millisecond)
		defer cancel()
		for {
			if r.received < r.first {
				_, err = r.next()
			} else if m, failed := r.cut.Next(ctx); failed == nil {
				m.Free()
			} else {
				err = failed
			}
			switch {
			case errors.Is(err, context.DeadlineExceeded):
				return status.Error(codes.Aborted, "enough")
			case err != nil:
				return err
			}
		}
	}))
	chunk := make([]byte, 32<<10)
	for range 20 {
		s, cancel := open(t, conn)
		s.SendMsg([]byte("cut off"))
		for s.SendMsg(chunk) == nil {
		}
		var p []byte
		if err := s.RecvMsg(&p); status.Code(err) != codes.Aborted {
			t.Fatalf("the stream ended with %v", err)
		}
		cancel()
	}
	flow(t, conn, chunk, 8<<20)
}

// What a handler is done with is given back to the windows.
func TestHandlerTakesAll(t *testing.T) {
	t.Parallel()
	conn := dial(t, serve(t, creds{}, func(r *receiver) error {
		_, err := r.next()
		n := 0
		if err == nil {
			err = r.divert(func(m mem.Buffer) bool { n += m.Len(); return true })
		}
		if err != nil {
			return err
		}
		rest, err := r.drain()
		if err != nil {
			return err
		}
		return r.SendMsg(fmt.Append(nil, n+rest))
	}))
	flow(t, conn, make([]byte, 32<<10), 2*connWindow)
}

// A client that cancels, and one whose connection breaks, end the diverted
// stream after what has come before.
func TestClientLeaves(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(cancel context.CancelFunc, conn *grpc.ClientConn){
		"cancels": func(cancel context.CancelFunc, _ *grpc.ClientConn) { cancel() },
		"breaks":  func(_ context.CancelFunc, conn *grpc.ClientConn) { conn.Close() },
	} {
		for kind, handler := range map[string]Handler{"handler": func(mem.Buffer) bool { return true }, "receiver": nil} {
			t.Run(name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				ended := make(chan error, 1)
				waiting := make(chan struct{})
				conn := dial(t, serve(t, creds{}, func(r *receiver) error {
					_, err := r.next()
					if err == nil {
						err = r.divert(handler)
					}
					close(waiting)
					if err == nil {
						_, err = r.drain()
					}
					ended <- err
					return err
				}))
				s, cancel := open(t, conn)
				s.SendMsg([]byte("first"))
				s.SendMsg(make([]byte, 100<<10))
				<-waiting
				leave(cancel, conn)
				select {
				case err := <-ended:
					// Known by the stream itself, not only by its context.
					if err == nil || errors.Is(err, context.Canceled) {
						t.Errorf("the stream ended with %v", err)
					}
				case <-time.After(10 * time.Second):
					t.Fatal("the stream goes on")
				}
			})
		}
	}
}

// A message larger than the window comes through, before and after others.
func TestLargeMessages(t *testing.T) {
	t.Parallel()
	random := make([]byte, maxMessage)
	rand.Read(random)
	for kind, handler := range map[string]Handler{"handler": func(mem.Buffer) bool { return false }, "receiver": nil} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			conn := dial(t, serve(t, creds{}, func(r *receiver) error {
				_, err := r.next()
				if err == nil {
					err = r.divert(handler)
				}
				if err != nil {
					return err
				}
				n := 0
				for {
					p, err := r.next()
					if errors.Is(err, io.EOF) {
						return r.SendMsg(fmt.Append(nil, n))
					}
					if err != nil || !bytes.Equal(p, random[:len(p)]) {
						return fmt.Errorf("after %d bytes: other bytes, or %w", n, err)
					}
					n += len(p)
				}
			}))
			s, _ := open(t, conn)
			s.SendMsg([]byte("first"))
			sizes := []int{maxMessage, 1, maxMessage, maxMessage, 300 << 10, 300 << 10, 300 << 10, 300 << 10, 300 << 10, 700 << 10, 0}
			total := 0
			for _, n := range sizes {
				if err := s.SendMsg(random[:n]); err != nil {
					t.Fatal(err)
				}
				total += n
			}
			s.CloseSend()
			expect(t, s, total)
		})
	}
}

// Divert after the end changes nothing.
func TestDivertAfterTheEnd(t *testing.T) {
	t.Parallel()
	conn := dial(t, serve(t, creds{}, func(r *receiver) error {
		if _, err := r.drain(); err != nil {
			return err
		}
		if _, ok := r.cut.Divert(nil); ok {
			return errors.New("a stream that has ended was diverted")
		}
		return r.SendMsg([]byte("0"))
	}))
	s, _ := open(t, conn)
	s.SendMsg(nil)
	s.CloseSend()
	expect(t, s, 0)
}
