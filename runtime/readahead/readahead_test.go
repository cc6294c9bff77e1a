package readahead

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

func pair(t *testing.T) (*Conn, net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return New(server, new(Pool)).(*Conn), client
}

func TestReadsEverything(t *testing.T) {
	t.Parallel()
	c, client := pair(t)
	want := make([]byte, 3<<20)
	rand.Read(want)
	go func() {
		client.Write(want)
		client.Close()
	}()
	var got bytes.Buffer
	for i := 0; ; i++ {
		p := make([]byte, []int{1, 9, 700, 16 << 10, 100 << 10}[i%5])
		n, err := c.Read(p)
		got.Write(p[:n])
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%d bytes arrived, not the %d that were sent", got.Len(), len(want))
	}
	if c.buf != nil {
		t.Error("a buffer is held after the end")
	}
}

func TestHoldsNothingWhileWaiting(t *testing.T) {
	t.Parallel()
	c, client := pair(t)
	client.Write([]byte("x"))
	if _, err := c.Read(make([]byte, 9)); err != nil {
		t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if _, err := c.Read(make([]byte, 9)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a read past its deadline: %v", err)
	}
	if c.buf != nil {
		t.Error("a buffer is held while there is nothing to read")
	}
}

func TestUnread(t *testing.T) {
	t.Parallel()
	c, client := pair(t)
	client.Write([]byte("hello"))
	if n, err := c.Read(make([]byte, 2)); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	head, below := c.Unread()
	if _, ok := below.(*net.TCPConn); !ok || string(head) != "llo" {
		t.Errorf("%q and a %T, want llo and a TCP connection", head, below)
	}
}
