package cutthrough

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc/mem"

	"kasgen/runtime/sniff"
)

// client speaks HTTP/2 as it likes.
type client struct {
	*http2.Framer
	t    *testing.T
	conn net.Conn
}

func rawClient(t *testing.T, addr string) *client {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	io.WriteString(conn, sniff.Preface)
	c := &client{Framer: http2.NewFramer(conn, conn), t: t, conn: conn}
	c.AllowIllegalWrites = true
	c.WriteSettings()
	return c
}

// request opens a stream; parts is in how many frames its headers come.
func (c *client) request(id uint32, parts int) {
	c.t.Helper()
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	for _, f := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", method}, {":authority", "a"},
		{"content-type", "application/grpc"}, {"te", "trailers"}} {
		e.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	p := block.Bytes()
	n := len(p) / parts
	c.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p[:n], EndHeaders: parts == 1})
	for i := 1; i < parts; i++ {
		end := min((i+1)*n, len(p))
		if i == parts-1 {
			end = len(p)
		}
		c.WriteContinuation(id, i == parts-1, p[i*n:end])
	}
}

func message(flag byte, p []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{flag}, uint32(len(p))), p...)
}

// until reads frames until one is as wanted.
func (c *client) until(wanted func(http2.Frame) bool) {
	c.t.Helper()
	for {
		f, err := c.ReadFrame()
		if err != nil {
			c.t.Fatalf("the frame that was waited for did not come: %v", err)
		}
		if wanted(f) {
			return
		}
	}
}

func reset(id uint32, code http2.ErrCode) func(http2.Frame) bool {
	return func(f http2.Frame) bool {
		r, ok := f.(*http2.RSTStreamFrame)
		return ok && r.StreamID == id && r.ErrCode == code
	}
}

// trailers are the end of a stream.
func trailers(id uint32) func(http2.Frame) bool {
	return func(f http2.Frame) bool {
		h, ok := f.(*http2.HeadersFrame)
		return ok && h.StreamID == id && h.StreamEnded()
	}
}

// closed expects the connection to be closed.
func (c *client) closed() {
	c.t.Helper()
	for {
		if _, err := c.ReadFrame(); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
				return
			}
			var e net.Error
			if errors.As(err, &e) && e.Timeout() {
				c.t.Error("the connection was not closed")
			}
			return
		}
	}
}

// outcome is what a receiver came to.
type outcome struct {
	messages []string
	err      error
}

// recorder is a server that diverts each stream after its first message and
// tells what it received.
func recorder(t *testing.T, handler bool) (addr string, diverted chan struct{}, got chan outcome) {
	diverted, got = make(chan struct{}, 10), make(chan outcome, 10)
	return serve(t, creds{}, func(r *receiver) error {
		var out outcome
		_, out.err = r.next()
		var h Handler
		if handler {
			h = func(m mem.Buffer) bool {
				out.messages = append(out.messages, string(m.ReadOnlyData()))
				return true
			}
		}
		if out.err == nil {
			out.err = r.divert(h)
		}
		diverted <- struct{}{}
		for out.err == nil {
			var p []byte
			if p, out.err = r.next(); out.err == nil {
				out.messages = append(out.messages, string(p))
			}
		}
		got <- out
		if errors.Is(out.err, io.EOF) {
			return nil
		}
		return out.err
	}), diverted, got
}

func (c *client) outcome(got chan outcome, messages ...string) error {
	c.t.Helper()
	select {
	case o := <-got:
		if fmt.Sprint(o.messages) != fmt.Sprint(messages) {
			c.t.Errorf("%q was received, not %q", o.messages, messages)
		}
		return o.err
	case <-time.After(20 * time.Second):
		c.t.Fatal("the stream did not end")
		return nil
	}
}

func TestHostileFrames(t *testing.T) {
	t.Parallel()
	hello := message(0, []byte("hello"))
	for _, tt := range []struct {
		name     string
		send     func(c *client)
		messages []string
		want     error                  // of the receiver; nil: any but io.EOF
		answer   func(http2.Frame) bool // nil: the connection is closed
	}{
		{"padding", func(c *client) {
			c.WriteDataPadded(1, false, hello[:3], make([]byte, 255))
			c.WriteDataPadded(1, false, nil, make([]byte, 3))
			c.WriteDataPadded(1, false, hello[3:], nil)
			c.WriteDataPadded(1, true, hello, make([]byte, 1))
		}, []string{"hello", "hello"}, io.EOF, trailers(1)},
		{"bytes one by one", func(c *client) {
			for i := range hello {
				c.WriteData(1, i == len(hello)-1, hello[i:i+1])
			}
		}, []string{"hello"}, io.EOF, trailers(1)},
		{"nothing but an end", func(c *client) { c.WriteData(1, true, nil) }, nil, io.EOF, trailers(1)},
		{"an end within padding", func(c *client) { c.WriteDataPadded(1, true, nil, make([]byte, 200)) }, nil, io.EOF, trailers(1)},
		{"an end within a message", func(c *client) { c.WriteData(1, true, hello[:7]) }, nil, io.ErrUnexpectedEOF, trailers(1)},
		{"an end within a prefix", func(c *client) { c.WriteData(1, true, hello[:2]) }, nil, io.ErrUnexpectedEOF, trailers(1)},
		{"a reset", func(c *client) {
			c.WriteData(1, false, hello)
			c.WriteRSTStream(1, http2.ErrCodeCancel)
			c.WritePing(false, [8]byte{1})
		}, []string{"hello"}, errReset, func(f http2.Frame) bool { _, ok := f.(*http2.PingFrame); return ok }},
		{"data of other streams", func(c *client) {
			c.WriteData(3, false, hello)
			c.WriteData(1, true, hello)
		}, []string{"hello"}, io.EOF, trailers(1)},
		{"data of no stream", func(c *client) { c.WriteData(0, false, hello) }, nil, nil, nil},
		{"a frame that is too large", func(c *client) { c.WriteData(1, false, make([]byte, 16<<10+1)) }, nil, nil, nil},
		{"padding that is too large", func(c *client) {
			c.WriteRawFrame(http2.FrameData, http2.FlagDataPadded, 1, []byte{5, 0, 0, 0, 0})
		}, nil, nil, nil},
		{"padding without a length", func(c *client) { c.WriteRawFrame(http2.FrameData, http2.FlagDataPadded, 1, nil) }, nil, nil, nil},
		{"data within headers", func(c *client) {
			c.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: []byte{0x82}})
			c.WriteData(1, false, hello)
		}, nil, nil, nil},
		{"trailers", func(c *client) {
			c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: []byte{0x82}, EndHeaders: true, EndStream: true})
		}, nil, nil, nil},
		{"a flag that is none", func(c *client) { c.WriteData(1, false, message(2, []byte("x"))) }, nil, errFlag, trailers(1)},
		{"a message that is no gzip", func(c *client) { c.WriteData(1, false, message(1, []byte("hello, hello"))) }, nil, nil, trailers(1)},
		{"a message that is too large", func(c *client) {
			c.WriteData(1, false, binary.BigEndian.AppendUint32([]byte{0}, maxMessage+1))
		}, nil, errTooLarge, trailers(1)},
		{"a message that becomes too large", func(c *client) {
			c.WriteData(1, false, message(1, zip(make([]byte, maxMessage+1))))
		}, nil, errTooLarge, trailers(1)},
	} {
		for kind, handler := range map[string]bool{"handler": true, "receiver": false} {
			t.Run(tt.name+"/"+kind, func(t *testing.T) {
				t.Parallel()
				addr, diverted, got := recorder(t, handler)
				c := rawClient(t, addr)
				c.request(1, 1)
				c.WriteData(1, false, hello)
				<-diverted
				tt.send(c)
				if tt.answer == nil {
					c.closed()
				} else {
					c.until(tt.answer)
				}
				err := c.outcome(got, tt.messages...)
				if tt.want != nil && !errors.Is(err, tt.want) || tt.want == nil && errors.Is(err, io.EOF) {
					t.Errorf("the receiver ended with %v, not with %v", err, tt.want)
				}
			})
		}
	}
}

// Data after the end is gRPC's to judge, as without us.
func TestDataAfterTheEnd(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	diverted := make(chan struct{})
	addr := serve(t, creds{}, func(r *receiver) error {
		_, err := r.next()
		if err == nil {
			err = r.divert(nil)
		}
		close(diverted)
		<-release
		return err
	})
	c := rawClient(t, addr)
	hello := message(0, []byte("hello"))
	c.request(1, 1)
	c.WriteData(1, false, hello)
	<-diverted
	c.WriteData(1, true, hello)
	c.WriteData(1, false, hello)
	c.until(reset(1, http2.ErrCodeStreamClosed))
	close(release)
}

// Headers in several frames are followed like those in one.
func TestContinuation(t *testing.T) {
	t.Parallel()
	addr, diverted, got := recorder(t, false)
	c := rawClient(t, addr)
	c.request(1, 3)
	hello := message(0, []byte("hello"))
	c.WriteData(1, false, hello)
	<-diverted
	c.WriteData(1, true, hello)
	if err := c.outcome(got, "hello"); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

// A peer that sends more than it may has its stream reset, and not its others.
func TestOverrun(t *testing.T) {
	t.Parallel()
	diverted, release, ended := make(chan struct{}), make(chan struct{}), make(chan error, 2)
	addr := serve(t, creds{}, func(r *receiver) error {
		if _, err := r.next(); err != nil {
			return err
		}
		if err := r.divert(nil); err != nil {
			return err
		}
		diverted <- struct{}{}
		<-release
		_, err := r.drain()
		ended <- err
		return err
	})
	c := rawClient(t, addr)
	hello := message(0, []byte("hello"))
	for _, id := range []uint32{1, 3} {
		c.request(id, 1)
		c.WriteData(id, false, hello)
		<-diverted
	}
	frame := message(0, make([]byte, 16<<10-prefixSize))
	for range streamWindow/len(frame) - 1 {
		c.WriteData(1, false, frame)
	}
	c.WriteData(1, false, frame[:len(frame)-len(hello)])
	c.WriteData(1, false, frame[:1]) // one byte too many
	c.until(reset(1, http2.ErrCodeFlowControl))
	c.WriteData(1, false, frame) // nobody's
	c.WriteData(3, true, hello)
	close(release)
	c.until(trailers(3))
	if first, second := <-ended, <-ended; !errors.Is(errors.Join(first, second), errOverrun) || first != nil && second != nil {
		t.Errorf("the streams ended with %v and %v", first, second)
	}
}

// Padding is given back to both windows.
func TestPaddingIsGivenBack(t *testing.T) {
	t.Parallel()
	addr, diverted, _ := recorder(t, true)
	c := rawClient(t, addr)
	c.request(1, 1)
	c.WriteData(1, false, message(0, nil))
	<-diverted
	windows := map[uint32]int{0: 65535 - prefixSize, 1: 65535 - prefixSize}
	for sent := 0; sent < 2*connWindow; {
		if windows[0] >= 256 && windows[1] >= 256 {
			c.WriteDataPadded(1, false, nil, make([]byte, 255))
			windows[0], windows[1], sent = windows[0]-256, windows[1]-256, sent+256
			continue
		}
		c.until(func(f http2.Frame) bool {
			switch f := f.(type) {
			case *http2.WindowUpdateFrame:
				windows[f.StreamID] += int(f.Increment)
			case *http2.SettingsFrame:
				if v, ok := f.Value(http2.SettingInitialWindowSize); ok {
					windows[1] += int(v) - 65535
				}
			}
			return true
		})
	}
}
