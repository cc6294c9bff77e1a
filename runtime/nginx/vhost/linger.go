package vhost

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// lingering is what follows an answer that came before the end of the request:
// a connection that is closed with bytes unread is reset, and the answer lost
// with it.
type lingering struct {
	off           bool
	total, silent time.Duration
}

// unread is a body that knows whether it has been read to its end.
type unread struct {
	io.ReadCloser
	ended atomic.Bool
}

func (u *unread) Read(p []byte) (int, error) {
	n, err := u.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		u.ended.Store(true)
	}
	return n, err
}

// watch makes the body known to linger, where there is one.
func (q *request) watch() {
	if q.r.ProtoMajor == 1 && q.r.ContentLength != 0 && q.r.Body != http.NoBody {
		q.unread = &unread{ReadCloser: q.r.Body}
		q.r.Body = q.unread
	}
}

// linger reads what a client still sends after its answer, as long as
// lingering_time and lingering_timeout allow.
func (q *request) linger() {
	o := &q.settings.lingering
	if q.unread == nil || q.unread.ended.Load() || o.off || q.w.status == http.StatusSwitchingProtocols {
		return
	}
	rc := http.NewResponseController(q.w)
	if rc.EnableFullDuplex() != nil || rc.Flush() != nil {
		return
	}
	scrap := make([]byte, 32<<10)
	for end := time.Now().Add(o.total); ; {
		left := min(time.Until(end), o.silent)
		if left <= 0 || rc.SetReadDeadline(time.Now().Add(left)) != nil {
			return
		}
		if _, err := q.unread.Read(scrap); err != nil {
			if q.unread.ended.Load() {
				_ = rc.SetReadDeadline(time.Time{}) // for the next request
			}
			return
		}
	}
}
