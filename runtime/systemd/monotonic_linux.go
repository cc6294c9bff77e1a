package systemd

import (
	"time"

	"golang.org/x/sys/unix"
)

// monotonic is the clock that systemd compares with.
func monotonic() (time.Duration, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0, err
	}
	return time.Duration(ts.Nano()), nil
}
