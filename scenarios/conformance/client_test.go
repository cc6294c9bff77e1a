package conformance

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// client does the steps of one behaviour.
type client struct {
	stage *stage
	ctx   context.Context
	conns map[string]*conn
	last  string // the connection that a step means which names none
	out   strings.Builder
}

// step is one line: a verb, words, options and header lines.
type step struct {
	verb    string
	words   []string
	options map[string]string
	header  [][2]string
}

// verbs are what a client can do. A verb in capitals is a request's method.
func verbs() map[string]func(*client, *step) (string, error) {
	return map[string]func(*client, *step) (string, error){
		"connect": (*client).connect, "send": (*client).send, "hello": (*client).hello, "receive": (*client).receive, "head": (*client).head,
		"end": (*client).end, "rest": (*client).rest, "quiet": (*client).quiet, "close": (*client).closeOne, "idle": (*client).idle, "flood": (*client).flood,
		"open": (*client).open, "data": (*client).data, "answer": (*client).answer, "finish": (*client).finish, "reset": (*client).reset,
		"stop": (*client).stopOne, "start": (*client).startOne, "heard": (*client).heard, "reload": (*client).reload,
		"until": (*client).until, "times": (*client).times, "say": (*client).say, "hold": (*client).say,
	}
}

func (c *client) do(line string) (string, error) {
	s, err := parseStep(line)
	if err != nil {
		return "", err
	}
	return c.run(s)
}

func (c *client) run(s *step) (string, error) {
	if do, ok := verbs()[s.verb]; ok {
		return do(c, s)
	}
	if method.MatchString(s.verb) {
		return c.request(s)
	}
	return "", fmt.Errorf("no step is called %q", s.verb)
}

var (
	method = regexp.MustCompile(`^[A-Z]+$|^[A-Z][A-Z_-]+$`)
	option = regexp.MustCompile(`^([a-z][a-z0-9]*)=(.*)$`)
	many   = regexp.MustCompile(`\{(.+?)\*(\d+)\}`)
)

// parseStep reads words that are apart by spaces. A word in double quotes is
// written as in Go; {x*9} in one is nine of x. A quoted word with ": " is a
// header line, and one behind = an option's value.
func parseStep(line string) (*step, error) {
	s := &step{options: map[string]string{}}
	for rest := strings.TrimSpace(line); rest != ""; rest = strings.TrimLeft(rest, " ") {
		var word string
		quoted := false
		key := ""
		if m := regexp.MustCompile(`^([a-z][a-z0-9]*)="`).FindString(rest); m != "" {
			key, rest = strings.TrimSuffix(m, `="`), rest[len(m)-1:]
		}
		if rest[0] == '"' {
			raw, err := strconv.QuotedPrefix(rest)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", rest, err)
			}
			if word, err = strconv.Unquote(raw); err != nil {
				return nil, fmt.Errorf("%s: %w", raw, err)
			}
			rest, quoted = rest[len(raw):], true
			word = many.ReplaceAllStringFunc(word, func(m string) string {
				p := many.FindStringSubmatch(m)
				n, _ := strconv.Atoi(p[2]) // digits
				return strings.Repeat(p[1], n)
			})
		} else {
			word, rest, _ = strings.Cut(rest, " ")
		}
		switch m := option.FindStringSubmatch(word); {
		case key != "":
			s.options[key] = word
		case s.verb == "":
			s.verb = word
		case quoted && s.method() && len(s.words) > 0:
			name, value, ok := strings.Cut(word, ": ")
			if !ok {
				name, value = strings.TrimSuffix(word, ":"), ""
			}
			s.header = append(s.header, [2]string{name, value})
		case !quoted && m != nil:
			s.options[m[1]] = m[2]
		default:
			s.words = append(s.words, word)
		}
	}
	return s, nil
}

// method tells whether header lines may follow.
func (s *step) method() bool { return method.MatchString(s.verb) || s.verb == "open" }

func (s *step) has(word string) bool {
	for _, w := range s.words {
		if w == word {
			return true
		}
	}
	return false
}

// word is the nth word, "" if there are fewer.
func (s *step) word(n int) string {
	if n < len(s.words) {
		return s.words[n]
	}
	return ""
}

func (s *step) number(name string, otherwise int) (int, error) {
	text, ok := s.options[name]
	if !ok {
		return otherwise, nil
	}
	return strconv.Atoi(text)
}

func (s *step) duration(name string, otherwise time.Duration) (time.Duration, error) {
	text, ok := s.options[name]
	if !ok {
		return otherwise, nil
	}
	return time.ParseDuration(text)
}

// until repeats the step behind its first word, a text, until that has come.
func (c *client) until(s *step) (string, error) {
	text := s.word(0)
	next := *s
	next.verb, next.words = s.word(1), s.words[min(2, len(s.words)):]
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		said, err := c.run(&next)
		if err == nil && strings.Contains(said, text) {
			return "", nil
		}
		select {
		case <-c.ctx.Done():
			return said, fmt.Errorf("it never came to %q: %w", text, err)
		case <-tick.C:
		}
	}
}

// times does the step behind its first word, a number, so often.
func (c *client) times(s *step) (string, error) {
	n, err := strconv.Atoi(s.word(0))
	if err != nil {
		return "", err
	}
	next := *s
	next.verb, next.words = s.word(1), s.words[min(2, len(s.words)):]
	var all strings.Builder
	for range n {
		said, err := c.run(&next)
		all.WriteString(said)
		if err != nil {
			return all.String(), err
		}
	}
	return all.String(), nil
}

func (c *client) stopOne(s *step) (string, error) {
	up, err := c.stage.cast.find(s.word(0))
	if err == nil {
		up.stop()
	}
	return "", err
}

func (c *client) startOne(s *step) (string, error) {
	up, err := c.stage.cast.find(s.word(0))
	if err != nil {
		return "", err
	}
	return "", up.start()
}

func (c *client) heard(s *step) (string, error) {
	up, err := c.stage.cast.find(s.word(0))
	if err != nil {
		return "", err
	}
	return up.note()
}

func (c *client) reload(*step) (string, error) { return "", c.stage.reload(c.ctx) }

// idle does nothing for so long, not even read.
func (c *client) idle(s *step) (string, error) {
	d, err := time.ParseDuration(s.word(0))
	if err != nil {
		return "", err
	}
	if k := c.conns[c.last]; k != nil && k.two != nil {
		k.two.reading.Lock()
		defer k.two.reading.Unlock()
	}
	select {
	case <-time.After(d):
		return "", nil
	case <-c.ctx.Done():
		return "", c.ctx.Err()
	}
}

func (c *client) close() {
	for _, k := range c.conns {
		k.Close()
		k.sending.Wait()
	}
}
