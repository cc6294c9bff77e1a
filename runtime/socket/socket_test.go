package socket

import (
	"errors"
	"net"
	"syscall"
	"testing"
)

func TestReadAndWrite(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	peer, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	attempt := func(call func(uintptr, []byte) (int, error), p []byte) (n int, err error) {
		t.Helper()
		if e := raw.Control(func(fd uintptr) { n, err = call(fd, p) }); e != nil {
			t.Fatal(e)
		}
		return n, err
	}
	if n, err := attempt(Read, make([]byte, 9)); n != 0 || !errors.Is(err, syscall.EAGAIN) {
		t.Errorf("reading where there is nothing: %d, %v", n, err)
	}
	if n, err := attempt(Write, []byte("hello")); n != 5 || err != nil {
		t.Errorf("writing: %d, %v", n, err)
	}
	if n, err := attempt(Write, nil); n != 0 || err != nil {
		t.Errorf("writing nothing: %d, %v", n, err)
	}
	got := make([]byte, 5)
	if n, err := peer.Read(got); n != 5 || err != nil || string(got) != "hello" {
		t.Errorf("%q arrived, %v", got[:n], err)
	}
	for n := 1; n > 0; {
		if n, err = attempt(Write, make([]byte, 1<<20)); n == 0 && !errors.Is(err, syscall.EAGAIN) {
			t.Errorf("writing where there is no room: %v", err)
		}
	}
	peer.(*net.TCPConn).SetLinger(0)
	peer.Close()
	for { // until the reset has arrived
		if n, err := attempt(Read, got); n != 0 || err == nil {
			t.Errorf("reading from a peer that is gone: %d, %v", n, err)
			break
		} else if !errors.Is(err, syscall.EAGAIN) {
			break
		}
	}
}
