//go:build !linux

package relay

import (
	"net"
	"time"
)

// kernelSilence is for Linux, where io.Copy splices.
func kernelSilence(_, _ net.Conn) func() time.Duration { return nil }

// kernelMoved always says now: elsewhere nothing is asked of the kernel.
func kernelMoved(_ *net.TCPConn) func() time.Duration { return func() time.Duration { return 0 } }
