package loopback

import (
	"net"
	"testing"

	"golang.org/x/sys/unix"
)

// TestPorts: a port that is held takes a listener, and another after that one,
// and is nobody else's choice; one that is given back is.
func TestPorts(t *testing.T) {
	t.Parallel()
	var p Ports
	at, err := p.Take()
	if err != nil {
		t.Fatal(err)
	}
	if c, err := net.Dial("tcp", at); err == nil {
		c.Close()
		t.Error("a port that is only held takes connections")
	}
	for range 2 {
		ln, err := net.Listen("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		if err := chosen(t, ln.Addr()); err == nil {
			t.Error("a port was chosen that is listened on")
		}
		ln.Close()
		if err := chosen(t, ln.Addr()); err == nil {
			t.Error("a port was chosen that is held")
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	if err := chosen(t, ln.Addr()); err != nil {
		t.Errorf("a port that was given back: %v", err)
	}
}

func chosen(t *testing.T, at net.Addr) error {
	t.Helper()
	fd, err := bound(at.(*net.TCPAddr).Port)
	if err == nil {
		if err := unix.Close(fd); err != nil {
			t.Fatal(err)
		}
	}
	return err
}
