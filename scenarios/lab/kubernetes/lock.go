package kubernetes

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"
)

// lock waits until nobody else on the machine holds the lock of a file. The
// system drops it when a process dies, so a killed build blocks nobody.
func lock(ctx context.Context, path, command string, log *slog.Logger) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
		}
	}()
	held, err := tryLock(f)
	if err != nil {
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	if held {
		return func() { _ = f.Close() }, nil
	}
	log.InfoContext(ctx, "waiting for another process, which builds the program", "program", command, "lock", path)
	// flock(2) has no time limit and cannot be called off: hence a clock.
	clock := time.NewTicker(100 * time.Millisecond)
	defer clock.Stop()
	for !held {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for the lock %s: %w", path, context.Cause(ctx))
		case <-clock.C:
		}
		if held, err = tryLock(f); err != nil {
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
	}
	return func() { _ = f.Close() }, nil
}
