// Package systemd is what a service says to systemd and gets from it: sd_notify
// and sockets that are open already. It knows neither bundle nor role. Its law:
// where systemd is not, nothing happens.
package systemd

import (
	"context"
	"fmt"
	"net"
	"strings"
)

// Notifier tells the service manager how the service fares. The zero value
// tells nobody.
type Notifier struct {
	socket string // path of a datagram socket; "@" begins an abstract one
}

// NewNotifier takes the socket from NOTIFY_SOCKET, by getenv.
func NewNotifier(getenv func(string) string) Notifier {
	return Notifier{socket: getenv("NOTIFY_SOCKET")}
}

// Ready says that the service serves; status is what `systemctl status` shows.
func (n Notifier) Ready(ctx context.Context, status string) error {
	return n.send(ctx, "READY=1", "STATUS="+oneLine(status))
}

// Reloading says that it reads its files again. The end is told by Ready, also
// when the files were at fault.
func (n Notifier) Reloading(ctx context.Context) error {
	now, err := monotonic()
	if err != nil {
		return err
	}
	return n.send(ctx, "RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", now.Microseconds()))
}

// Stopping says that it drains.
func (n Notifier) Stopping(ctx context.Context) error { return n.send(ctx, "STOPPING=1") }

// send writes one datagram of assignments.
func (n Notifier) send(ctx context.Context, assignments ...string) error {
	if n.socket == "" {
		return nil
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "unixgram", n.socket)
	if err != nil {
		return fmt.Errorf("telling systemd: %w", err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(strings.Join(assignments, "\n"))); err != nil {
		return fmt.Errorf("telling systemd: %w", err)
	}
	return nil
}

// oneLine keeps an assignment from becoming two.
func oneLine(s string) string { return strings.ReplaceAll(s, "\n", "; ") }
