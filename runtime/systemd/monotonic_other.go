//go:build !linux

package systemd

import "time"

// monotonic has no meaning where systemd is not.
func monotonic() (time.Duration, error) { return 0, nil }
