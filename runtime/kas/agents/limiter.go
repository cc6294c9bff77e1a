package agents

import (
	"sync"
	"time"

	"kasgen/runtime/cache"
)

// limiter counts calls by token and wall-clock minute, as GitLab's kas does.
type limiter struct {
	perMinute uint32

	mu     sync.Mutex
	minute int64
	calls  map[cache.Key]uint32
}

func (l *limiter) allow(key cache.Key, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m := now.Unix() / 60; m != l.minute || l.calls == nil {
		l.minute, l.calls = m, map[cache.Key]uint32{}
	}
	l.calls[key]++
	return l.calls[key] <= l.perMinute
}
