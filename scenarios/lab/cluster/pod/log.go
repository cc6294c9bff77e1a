package pod

import (
	"context"
	"io"
	"sync"
	"time"
)

// kept is how many lines a log holds: at four lines a second more than half
// an hour, in well under a megabyte.
const kept = 8192

// Line is one line of the main process's output, without its newline.
type Line struct {
	Time time.Time
	Text string
}

// Log holds the last lines of a container. Readers carry their own position,
// so a slow one holds up nobody and loses lines instead.
type Log struct {
	mu     sync.Mutex
	first  int64 // the number of lines[0]
	lines  []Line
	closed bool
	wake   chan struct{} // closed at each append
}

func newLog() *Log { return &Log{wake: make(chan struct{})} }

func (l *Log) append(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	// Twice as many are held before the older half goes, so that a line
	// costs no copy of all the others.
	if len(l.lines) >= 2*kept {
		l.first += kept
		l.lines = append(l.lines[:0:0], l.lines[kept:]...)
	}
	l.lines = append(l.lines, Line{Time: time.Now(), Text: text})
	close(l.wake)
	l.wake = make(chan struct{})
}

func (l *Log) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		close(l.wake)
	}
}

// Lines are the lines so far, and the position after them.
func (l *Log) Lines() ([]Line, int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Line(nil), l.lines...), l.first + int64(len(l.lines))
}

// Next waits for lines at or after position from, and returns them with the
// position after them. It returns io.EOF once the container has ended.
func (l *Log) Next(ctx context.Context, from int64) ([]Line, int64, error) {
	for {
		l.mu.Lock()
		end := l.first + int64(len(l.lines))
		if from < end {
			lines := append([]Line(nil), l.lines[max(from-l.first, 0):]...)
			l.mu.Unlock()
			return lines, end, nil
		}
		closed, wake := l.closed, l.wake
		l.mu.Unlock()
		if closed {
			return nil, from, io.EOF
		}
		select {
		case <-ctx.Done():
			return nil, from, ctx.Err()
		case <-wake:
		}
	}
}
