package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// http2Conn is a client of HTTP/2 that tells frames as they come: net/http
// would hide the codes of resets.
type http2Conn struct {
	conn    *conn
	deaf    bool // it gives no window back
	framer  *http2.Framer
	write   sync.Mutex
	encoder *hpack.Encoder
	block   bytes.Buffer

	mu      sync.Mutex
	change  *sync.Cond
	streams map[uint32]*http2Stream
	next    uint32
	initial int64 // window of a new stream
	window  int64 // of the connection
	goaway  string
	err     error

	reading sync.Mutex // held while the client does not even read
}

// http2Stream is what came on one stream.
type http2Stream struct {
	id      uint32
	window  int64
	head    [][2]string
	size    int
	body    []byte // the beginning of it
	trailer [][2]string
	ended   bool
	resetBy string
	told    time.Time // when the client began to say the last thing
}

// usualWindow is that of a connection and a stream of which nothing is said.
const usualWindow = 65535

// shownBody is how many bytes of a body a transcript shows.
const shownBody = 300

// newHTTP2Conn lets bytes come as they are read, or as deaf so many in all.
func newHTTP2Conn(k *conn, deaf bool, window int) (*http2Conn, error) {
	h := &http2Conn{conn: k, deaf: deaf, streams: map[uint32]*http2Stream{}, next: 1, initial: usualWindow, window: usualWindow}
	h.change = sync.NewCond(&h.mu)
	h.encoder = hpack.NewEncoder(&h.block)
	h.framer = http2.NewFramer(k, k.r)
	h.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if _, err := io.WriteString(k, http2.ClientPreface); err != nil {
		return nil, err
	}
	err := h.framer.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(window)})
	if err == nil && window > usualWindow {
		err = h.framer.WriteWindowUpdate(0, uint32(window-usualWindow))
	}
	if err != nil {
		return nil, err
	}
	go h.read()
	return h, nil
}

// read takes frames until the connection ends.
func (h *http2Conn) read() {
	for {
		h.reading.Lock()
		f, err := h.framer.ReadFrame()
		h.reading.Unlock()
		h.mu.Lock()
		if err != nil {
			h.err = err
			h.change.Broadcast()
			h.mu.Unlock()
			return
		}
		answer := h.take(f)
		h.change.Broadcast()
		h.mu.Unlock()
		if answer != nil {
			h.write.Lock()
			answer()
			h.write.Unlock()
		}
	}
}

// take notes a frame, and says what is to be written for it.
func (h *http2Conn) take(f http2.Frame) func() {
	s := h.streams[f.Header().StreamID]
	switch f := f.(type) {
	case *http2.SettingsFrame:
		if f.IsAck() {
			return nil
		}
		if v, ok := f.Value(http2.SettingInitialWindowSize); ok {
			for _, s := range h.streams {
				s.window += int64(v) - h.initial
			}
			h.initial = int64(v)
		}
		return func() { _ = h.framer.WriteSettingsAck() }
	case *http2.PingFrame:
		if data := f.Data; !f.IsAck() {
			return func() { _ = h.framer.WritePing(true, data) }
		}
	case *http2.WindowUpdateFrame:
		if s != nil {
			s.window += int64(f.Increment)
		} else if f.StreamID == 0 {
			h.window += int64(f.Increment)
		}
	case *http2.GoAwayFrame:
		h.goaway = f.ErrCode.String()
	case *http2.RSTStreamFrame:
		if s != nil && s.resetBy == "" {
			s.resetBy = f.ErrCode.String()
		}
	case *http2.MetaHeadersFrame:
		if s == nil {
			return nil
		}
		to := &s.head
		if len(s.head) > 0 {
			to = &s.trailer
		}
		for _, field := range f.Fields {
			*to = append(*to, [2]string{field.Name, field.Value})
		}
		s.ended = s.ended || f.StreamEnded()
	case *http2.DataFrame:
		if s == nil {
			return nil
		}
		n := len(f.Data())
		s.size += n
		if room := shownBody - len(s.body); room > 0 {
			s.body = append(s.body, f.Data()[:min(room, n)]...)
		}
		s.ended = s.ended || f.StreamEnded()
		if n := f.Length; n > 0 && !h.deaf {
			return func() {
				_ = h.framer.WriteWindowUpdate(0, n)
				if !s.ended {
					_ = h.framer.WriteWindowUpdate(s.id, n)
				}
			}
		}
	}
	return nil
}

// wait returns when done says so, the connection has ended, or d is over. done
// is called with h.mu held.
func (h *http2Conn) wait(d time.Duration, done func() bool) bool {
	defer time.AfterFunc(d, h.change.Broadcast).Stop()
	deadline := time.Now().Add(d)
	h.mu.Lock()
	defer h.mu.Unlock()
	for !done() && h.err == nil && time.Now().Before(deadline) {
		h.change.Wait()
	}
	return done()
}

// two is the HTTP/2 connection of a step, which is opened if there is none.
func (c *client) two(s *step) (*http2Conn, string, error) {
	k, err := c.on(s)
	words := ""
	if errors.Is(err, errNoConnection) {
		next := *s
		next.words = []string{"http2"}
		if words, err = c.connect(&next); err == nil {
			k = c.conns[""]
		}
	}
	if err != nil {
		return nil, words, err
	}
	if k == nil || k.two == nil {
		return nil, words, errors.New("this connection does not speak HTTP/2")
	}
	return k.two, words, nil
}

// open opens a stream: its first word is the path; "end" says that nothing
// follows. Others are method=, host=, scheme= and header lines.
func (c *client) open(s *step) (string, error) {
	h, words, err := c.two(s)
	if err != nil {
		return words, err
	}
	option := func(name, otherwise string) string {
		if v, ok := s.options[name]; ok {
			return v
		}
		return otherwise
	}
	fields := [][2]string{
		{":method", option("method", "POST")}, {":scheme", option("scheme", "http")}, {":authority", option("host", usualHost)}, {":path", s.word(0)},
		{"te", "trailers"}, {"content-type", "application/grpc"},
	}
	if s.options["host"] == "none" {
		fields = append(fields[:2], fields[3:]...)
	}
	for _, line := range s.header {
		fields = append(fields, [2]string{strings.ToLower(line[0]), line[1]})
	}
	h.mu.Lock()
	id := h.next
	h.next += 2
	h.streams[id] = &http2Stream{id: id, window: h.initial, told: time.Now()}
	h.mu.Unlock()
	h.write.Lock()
	defer h.write.Unlock()
	h.block.Reset()
	for _, f := range fields {
		if err := h.encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
			return words, err
		}
	}
	err = h.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: h.block.Bytes(), EndHeaders: true, EndStream: s.has("end")})
	return words, err
}

// latest is the stream that a step means: stream=, or the last one opened.
func (c *client) latest(s *step) (*http2Conn, *http2Stream, error) {
	h, _, err := c.two(s)
	if err != nil {
		return nil, nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	n, err := s.number("stream", int(h.next)-2)
	if err != nil {
		return nil, nil, err
	}
	st := h.streams[uint32(n)]
	if st == nil {
		return nil, nil, fmt.Errorf("there is no stream %d", n)
	}
	return h, st, nil
}

// maxFrame is the largest that everybody takes.
const maxFrame = 16 << 10

// data sends so many bytes, or a quoted text, as the windows allow; "end" ends
// the client's direction.
func (c *client) data(s *step) (string, error) {
	h, st, err := c.latest(s)
	if err != nil {
		return "", err
	}
	var text []byte
	var n int
	if _, err := fmt.Sscanf(s.word(0), "%d", &n); err == nil {
		text = bytes.Repeat([]byte("x"), n)
	} else if s.word(0) != "end" {
		text = []byte(s.word(0))
	}
	for len(text) > 0 {
		room := 0
		ready := h.wait(10*time.Second, func() bool {
			room = int(min(h.window, st.window, maxFrame, int64(len(text))))
			return room > 0 || st.resetBy != "" || st.ended
		})
		if !ready || st.resetBy != "" || st.ended {
			return "", nil // finish tells how it ended
		}
		h.mu.Lock()
		h.window -= int64(room)
		st.told = time.Now()
		st.window -= int64(room)
		h.mu.Unlock()
		h.write.Lock()
		err := h.framer.WriteData(st.id, false, text[:room])
		h.write.Unlock()
		if err != nil {
			return "", nil
		}
		text = text[room:]
	}
	if s.has("end") {
		h.write.Lock()
		defer h.write.Unlock()
		return "", h.framer.WriteData(st.id, true, nil)
	}
	return "", nil
}

// reset ends a stream as a client does that has changed its mind.
func (c *client) reset(s *step) (string, error) {
	h, st, err := c.latest(s)
	if err != nil {
		return "", err
	}
	h.write.Lock()
	defer h.write.Unlock()
	return "", h.framer.WriteRSTStream(st.id, http2.ErrCodeCancel)
}

// answer waits for the head of an answer, or as many bytes as bytes= says.
func (c *client) answer(s *step) (string, error) {
	h, st, err := c.latest(s)
	if err != nil {
		return "", err
	}
	n, err := s.number("bytes", 0)
	if err != nil {
		return "", err
	}
	within, err := s.duration("within", 10*time.Second)
	if err != nil {
		return "", err
	}
	ok := h.wait(within, func() bool { return st.resetBy != "" || len(st.head) > 0 && st.size >= n })
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case st.resetBy != "" && (len(st.head) == 0 || st.size < n):
		return st.ending(h), nil
	case !ok && h.err != nil:
		return st.ending(h), nil
	case !ok:
		return "nothing within " + within.String(), nil
	case n > 0:
		return fmt.Sprintf("%d bytes", n), nil
	}
	return fieldLines(st.head), nil
}

// finish waits for the end of a stream and tells what came and how it ended.
// after= and within= are those of rest; uncounted leaves out how many bytes
// came, where that is left to chance.
func (c *client) finish(s *step) (string, error) {
	h, st, err := c.latest(s)
	if err != nil {
		return "", err
	}
	within, err := s.duration("within", 10*time.Second)
	if err != nil {
		return "", err
	}
	after, err := s.duration("after", 0)
	if err != nil {
		return "", err
	}
	ok := h.wait(within, func() bool { return st.ended || st.resetBy != "" })
	h.mu.Lock()
	defer h.mu.Unlock()
	took := time.Since(st.told)
	var b strings.Builder
	if !s.has("uncounted") {
		if st.size > 0 && st.size <= shownBody {
			for line := range strings.Lines(string(st.body)) {
				b.WriteString("| " + strings.TrimRight(line, "\r\n") + "\n")
			}
		} else if st.size > 0 {
			fmt.Fprintf(&b, "%d bytes\n", st.size)
		}
	}
	b.WriteString(fieldLines(st.trailer))
	if !ok && h.err == nil {
		b.WriteString("still open\n")
	} else {
		b.WriteString(st.ending(h))
	}
	if took < after {
		fmt.Fprintf(&b, "after %v already\n", took.Round(10*time.Millisecond))
	}
	return b.String(), nil
}

// quiet waits so long, in which nothing shall come on any stream.
func (h *http2Conn) quiet(d time.Duration) string {
	came := func() (n int) {
		for _, s := range h.streams {
			n += s.size + len(s.head) + len(s.trailer) + len(s.resetBy)
		}
		return n
	}
	h.mu.Lock()
	before := came()
	h.mu.Unlock()
	if h.wait(d, func() bool { return came() != before }) {
		return "something came"
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.err != nil {
		return "closed"
	}
	return "open"
}

// gone waits for the end of the connection.
func (h *http2Conn) gone(k *conn, within, after time.Duration) string {
	h.wait(within, func() bool { return false })
	h.mu.Lock()
	defer h.mu.Unlock()
	how := "still open"
	if h.err != nil {
		how = (&http2Stream{}).ending(h)
	}
	if took := time.Since(k.told); took < after {
		how += fmt.Sprintf("after %v already", took.Round(10*time.Millisecond))
	}
	return how
}

// ending is how a stream ended.
func (s *http2Stream) ending(h *http2Conn) string {
	switch {
	case s.ended: // a reset may follow, which says that the rest is not wanted
		return "ended\n"
	case s.resetBy != "":
		return "reset " + s.resetBy + "\n"
	case h.goaway != "":
		return "goaway " + h.goaway + ", closed\n"
	default:
		return closed(h.err) + "\n"
	}
}

// fieldLines are header fields without what differs by chance.
func fieldLines(fields [][2]string) string {
	var lines []string
	status := ""
	for _, f := range fields {
		switch f[0] {
		case ":status":
			status = f[1] + "\n"
		case "date", "last-modified", "etag", "accept-ranges":
		default:
			lines = append(lines, f[0]+": "+f[1]+"\n")
		}
	}
	sort.Strings(lines)
	return status + strings.Join(lines, "")
}

// request2 is a request of HTTP/2 on a connection of its own.
func (c *client) request2(s *step) (string, error) {
	next := *s
	next.options = map[string]string{"method": s.verb}
	for k, v := range s.options {
		next.options[k] = v
	}
	open := next
	open.words = []string{"http2"}
	words, err := c.connect(&open)
	if err != nil || c.conns[c.last] == nil {
		return words, err
	}
	next.words = s.words
	body, ok := s.options["body"]
	if !ok {
		next.words = append(next.words, "end")
	}
	if _, err := c.open(&next); err != nil {
		return words, err
	}
	if ok {
		if _, err := c.data(&step{words: []string{body, "end"}}); err != nil {
			return words, err
		}
	}
	head, err := c.answer(&step{})
	if err != nil || s.has("brief") {
		status, _, _ := strings.Cut(head, "\n")
		return words + status, err
	}
	rest, err := c.finish(&step{})
	return words + head + rest, err
}
