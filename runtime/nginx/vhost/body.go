package vhost

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"kasgen/runtime/httpengine"
)

// limited cuts a body off where it is larger than client_max_body_size, which
// counts for the whole of a stream.
type limited struct {
	io.Reader
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.Reader.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, httpengine.ErrBodyTooLarge
	}
	return n, err
}

// body is the client's, with its limit.
func (q *request) body() io.Reader {
	if max := q.settings.maxBody; max > 0 {
		return &limited{Reader: q.r.Body, left: max}
	}
	return q.r.Body
}

// hasBody tells whether there is a body to send on.
func (q *request) hasBody() bool {
	return !q.bodiless && q.r.Body != nil && (q.r.Body != http.NoBody || len(q.r.Header["Content-Length"]) > 0)
}

// spool is a body that was read whole: its beginning in memory, the rest in a
// file that has no name any more.
type spool struct {
	memory []byte
	file   *os.File
	size   int64
}

// reader is the body from its beginning.
func (s *spool) reader() io.Reader {
	if s.file == nil {
		return bytes.NewReader(s.memory)
	}
	return io.MultiReader(bytes.NewReader(s.memory), io.NewSectionReader(s.file, 0, s.size-int64(len(s.memory))))
}

func (s *spool) close() error {
	if s == nil || s.file == nil {
		return nil
	}
	return s.file.Close()
}

// errStored is a body that could not be kept.
var errStored = errors.New("storing the request's body")

// spool reads the whole body, each piece within client_body_timeout. status is
// what to answer where that fails.
func (q *request) spool() (s *spool, status int) {
	s = &spool{}
	err := q.spoolTo(s)
	var large *http.MaxBytesError
	switch {
	case err == nil:
		return s, 0
	case errors.Is(err, httpengine.ErrBodyTooLarge), errors.As(err, &large):
		status = http.StatusRequestEntityTooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		status = statusTimedOut
	case errors.Is(err, errStored):
		q.run.log.Error("a request's body cannot be kept", "error", err)
		status = http.StatusInternalServerError
	default:
		status = http.StatusBadRequest
	}
	_ = s.close() // it is not needed any more
	return nil, status
}

func (q *request) spoolTo(s *spool) error {
	rc := http.NewResponseController(q.w)
	from := q.body()
	limit := q.settings.bodyTimeout
	piece := make([]byte, q.settings.bodyBuffer)
	for {
		if limit > 0 {
			if err := rc.SetReadDeadline(time.Now().Add(limit)); err != nil {
				return err
			}
		}
		n, err := from.Read(piece)
		if err := s.add(piece[:n], len(piece)); err != nil {
			return errors.Join(errStored, err)
		}
		if err == io.EOF {
			return rc.SetReadDeadline(time.Time{})
		}
		if err != nil {
			return err
		}
	}
}

func (s *spool) add(p []byte, room int) error {
	s.size += int64(len(p))
	n := min(len(p), room-len(s.memory))
	s.memory = append(s.memory, p[:n]...)
	if n == len(p) {
		return nil
	}
	if s.file == nil {
		f, err := os.CreateTemp("", "kasgen-body-*")
		if err != nil {
			return err
		}
		s.file = f
		if err := os.Remove(f.Name()); err != nil {
			return err
		}
	}
	_, err := s.file.Write(p[n:])
	return err
}
