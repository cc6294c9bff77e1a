package conformance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// stage is one book on one front: its files in a directory, its listeners, its
// upstreams.
type stage struct {
	book    *book
	front   front
	dir     string
	certs   *certificates
	cast    *cast
	listens map[string]string // addresses by the words of the file
	running running
	said    lockedBuffer // the front's log
}

// placeholder is a word that stands for an address or a path.
var placeholder = regexp.MustCompile(`\b(?:LISTEN|SAYS|HEADED|WAITS|FIRST|SINK|HALF|GARBAGE|DEAF|ENDLESS|ORIGIN|NAMED|BROKEN|SECURE|DEAD|GRPC|BOTH)(?:_[A-Z0-9]+)?\b|\bCERT(?:_OTHER)?\b|\bFILES\b`)

// addresses counts those given out, so that none is given twice.
var addresses atomic.Int64

// portsTried is how often a front is given other ports where a program of the
// machine took one between the choice and the start.
const portsTried = 5

// newStage starts a front, on other ports where one has gone meanwhile.
func newStage(ctx context.Context, b *book, f front) (*stage, error) {
	for tried := 1; ; tried++ {
		s, err := startStage(ctx, b, f)
		if err == nil || tried == portsTried || !portTaken(err.Error()) && (s == nil || !portTaken(s.said.String())) {
			return s, err
		}
	}
}

// portTaken tells whether a front says so of an address: in Go and nginx's
// words, or in HAProxy's, which has the same in brackets.
func portTaken(said string) bool {
	return strings.Contains(strings.ToLower(said), "address already in use")
}

func startStage(ctx context.Context, b *book, f front) (_ *stage, err error) {
	s := &stage{book: b, front: f, cast: &cast{who: map[string]*server{}}, listens: map[string]string{}}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("%s: %w", f, err), s.stop())
		}
	}()
	if s.dir, err = os.MkdirTemp("", "conformance"); err != nil {
		return nil, err
	}
	// nginx's workers are nobody, and have to get through.
	if err := os.Chmod(s.dir, 0o755); err != nil {
		return nil, err
	}
	if s.certs, err = newCertificates(s.dir); err != nil {
		return nil, err
	}
	s.cast.certs = s.certs
	for name, text := range b.files {
		file := filepath.Join(s.dir, "files", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return nil, err
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	path, err := s.write(b.configs[f.kind])
	if err != nil {
		return nil, err
	}
	var binds []string
	for _, address := range s.listens {
		binds = append(binds, address)
	}
	s.running, err = f.start(ctx, path, binds, slog.New(slog.NewTextHandler(&s.said, nil)))
	return s, err
}

// write writes a configuration with the words replaced.
func (s *stage) write(text string) (string, error) {
	var missing []error
	text = placeholder.ReplaceAllStringFunc(text, func(word string) string {
		to, err := s.word(word)
		missing = append(missing, err)
		return to
	})
	if err := errors.Join(missing...); err != nil {
		return "", err
	}
	if s.front.kind == nginxKind {
		text = s.house(text)
	}
	path := filepath.Join(s.dir, s.front.kind.file())
	return path, os.WriteFile(path, []byte(text), 0o644)
}

// house keeps nginx within its directory: Debian's would write into the
// system's.
func (s *stage) house(text string) string {
	head := "worker_processes 1;\npid " + s.dir + "/pid;\n"
	if strings.Contains(text, "stream {") {
		head = "load_module " + streamModule + ";\n" + head
	}
	if !strings.Contains(text, "events {") {
		head += "events {}\n"
	}
	temp := "access_log off; client_body_temp_path " + s.dir + "/body; proxy_temp_path " + s.dir + "/proxy;"
	return head + strings.Replace(text, "http {", "http { "+temp, 1)
}

const streamModule = "/usr/lib/nginx/modules/ngx_stream_module.so"

// word is what a placeholder stands for.
func (s *stage) word(word string) (string, error) {
	switch {
	case word == "FILES":
		return filepath.Join(s.dir, "files"), nil
	case s.certs.files[word] != "":
		return s.certs.files[word], nil
	case strings.HasPrefix(word, "LISTEN"):
		if s.listens[word] == "" {
			a, err := freeAddress(int(addresses.Add(1)))
			if err != nil {
				return "", err
			}
			s.listens[word] = a
		}
		return s.listens[word], nil
	}
	up, err := s.cast.find(word)
	if err != nil {
		return "", err
	}
	return up.at(), nil
}

// reload gives the front the file that is next.
func (s *stage) reload(ctx context.Context) error {
	if _, err := s.write(s.book.next[s.front.kind]); err != nil {
		return err
	}
	return s.running.reload(ctx)
}

// listen is where a listener is: at is the second part of its word.
func (s *stage) listen(at string) (string, error) {
	word := "LISTEN"
	if at != "" {
		word += "_" + at
	}
	if a := s.listens[word]; a != "" {
		return a, nil
	}
	return "", fmt.Errorf("the file names no %s", word)
}

// neutral gives addresses their words again.
func (s *stage) neutral(text string) string {
	var pairs []string
	words := map[string]string{s.dir: "DIR"}
	for word, address := range s.listens {
		words[address] = word
		host, port, _ := net.SplitHostPort(address)
		words[":"+port], words[host] = ":"+word, word
	}
	for word, up := range s.cast.who {
		words[up.at()] = word
	}
	for from := range words {
		pairs = append(pairs, from)
	}
	// The longest first, or an address would be taken for its parts.
	slices.SortFunc(pairs, func(a, b string) int { return len(b) - len(a) })
	var replace []string
	for _, from := range pairs {
		replace = append(replace, from, words[from])
	}
	return strings.NewReplacer(replace...).Replace(text)
}

func (s *stage) stop() error {
	var err error
	if s.running != nil {
		err = s.running.stop()
	}
	s.cast.stop()
	if s.dir != "" {
		err = errors.Join(err, os.RemoveAll(s.dir))
	}
	return err
}

// perform does what a behaviour says, and returns the transcript.
func (s *stage) perform(b *behaviour) string {
	ctx, cancel := context.WithTimeout(context.Background(), longest)
	defer cancel()
	c := &client{stage: s, ctx: ctx, conns: map[string]*conn{}}
	defer c.close()
	for _, step := range b.steps {
		c.out.WriteString(stepMark + step + "\n")
		text, err := c.do(step)
		if err != nil {
			text += "fault: " + err.Error()
		}
		if text = s.neutral(strings.TrimRight(text, "\n")); text != "" {
			c.out.WriteString(text + "\n")
		}
	}
	return tidy(c.out.String())
}

// longest is how long a behaviour may take.
const longest = 30 * time.Second

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
