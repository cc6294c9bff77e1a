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

// kernelMoved tells how long ago c was seen to take what there is for it: its
// buffer had room, or the other end had taken more of it than before.
func kernelMoved(c *net.TCPConn) func() time.Duration {
	last := time.Now()
	var acked uint64
	return func() time.Duration {
		raw, err := c.SyscallConn()
		if err != nil {
			return time.Since(last)
		}
		_ = raw.Control(func(fd uintptr) { // fails on a connection that is closed
			room := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
			if n, err := unix.Poll(room, 0); err == nil && n == 1 && room[0].Revents&unix.POLLOUT != 0 {
				last = time.Now()
			}
			if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil && info.Bytes_acked != acked {
				acked, last = info.Bytes_acked, time.Now()
			}
		})
		return time.Since(last)
	}
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
