package relay

import (
	"net"
	"time"

	"golang.org/x/sys/unix"

	"kasgen/runtime/sniff"
)

// kernelSilence tells how long ago either of two TCP connections received
// something: of bytes that are spliced nobody else hears. Nil if one of them is
// no TCP connection.
func kernelSilence(a, b net.Conn) func() time.Duration {
	var conns [2]*net.TCPConn
	for i, c := range []net.Conn{a, b} {
		tcp, ok := sniff.Below(c).(*net.TCPConn)
		if !ok {
			return nil
		}
		conns[i] = tcp
	}
	return func() time.Duration { return min(sinceReceived(conns[0]), sinceReceived(conns[1])) }
}

// sinceReceived is an eternity for a connection that is closed.
func sinceReceived(c *net.TCPConn) time.Duration {
	since := time.Duration(1<<63 - 1)
	raw, err := c.SyscallConn()
	if err != nil {
		return since
	}
	_ = raw.Control(func(fd uintptr) { // fails on a connection that is closed
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			since = time.Duration(info.Last_data_recv) * time.Millisecond
		}
	})
	return since
}
