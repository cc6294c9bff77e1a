package conformance

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/tools/txtar"
)

// book is one file of behaviours.
type book struct {
	path       string
	archive    *txtar.Archive
	configs    map[kind]string
	next       map[kind]string   // what a reload finds
	files      map[string]string // behind files/, for FILES
	ordered    bool              // its behaviours are one story
	behaviours []*behaviour
}

// behaviour is what a client does, and what comes out of it.
type behaviour struct {
	name    string
	section int // of the archive
	steps   []string
	want    string
	apart   []*difference
}

// difference is what some fronts do otherwise, on purpose.
type difference struct {
	fronts []string
	reason string
	want   string
}

// The lines of a behaviour: a step, and a difference with its reason.
const (
	stepMark  = "> "
	apartMark = "~ "
)

// keepOrder, as a line of a book's introduction, runs its behaviours one after
// the other on one front; otherwise they run at the same time.
const keepOrder = "In order."

func readBooks() ([]*book, error) {
	paths, err := filepath.Glob("behaviours/*.txtar")
	if err != nil {
		return nil, err
	}
	var books []*book
	for _, p := range paths {
		b, err := readBook(p)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		books = append(books, b)
	}
	return books, nil
}

func readBook(path string) (*book, error) {
	a, err := txtar.ParseFile(path)
	if err != nil {
		return nil, err
	}
	b := &book{path: path, archive: a, configs: map[kind]string{}, next: map[kind]string{}, files: map[string]string{}}
	b.ordered = slices.Contains(strings.Split(string(a.Comment), "\n"), keepOrder)
	names := map[string]bool{}
	for i, f := range a.Files {
		text := string(f.Data)
		if k, ok := kindOf(f.Name); ok {
			b.configs[k] = text
			continue
		}
		if k, ok := kindOf(strings.TrimSuffix(f.Name, ".next")); ok {
			b.next[k] = text
			continue
		}
		if name, ok := strings.CutPrefix(f.Name, "files/"); ok {
			b.files[name] = text
			continue
		}
		if names[f.Name] {
			return nil, fmt.Errorf("%q is there twice", f.Name)
		}
		names[f.Name] = true
		one, err := readBehaviour(f.Name, text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name, err)
		}
		one.section = i
		b.behaviours = append(b.behaviours, one)
	}
	if len(b.configs) == 0 {
		return nil, fmt.Errorf("there is neither %s nor %s", nginxKind.file(), haproxyKind.file())
	}
	return b, nil
}

var apartLine = regexp.MustCompile(`^([\w, ]+): (.+)$`)

func readBehaviour(name, text string) (*behaviour, error) {
	b := &behaviour{name: name}
	into := &b.want
	for _, line := range strings.SplitAfter(text, "\n") {
		if step, ok := strings.CutPrefix(line, stepMark); ok {
			if into == &b.want {
				b.steps = append(b.steps, strings.TrimSuffix(step, "\n"))
			}
		} else if apart, ok := strings.CutPrefix(line, apartMark); ok {
			m := apartLine.FindStringSubmatch(strings.TrimSpace(apart))
			if m == nil {
				return nil, fmt.Errorf("%q: want %sFRONT: REASON", line, apartMark)
			}
			d := &difference{fronts: strings.Split(m[1], ", "), reason: m[2]}
			b.apart = append(b.apart, d)
			into = &d.want
			continue
		}
		*into += line
	}
	if len(b.steps) == 0 {
		return nil, fmt.Errorf("nothing is done; steps begin with %q", stepMark)
	}
	b.want = tidy(b.want)
	for _, d := range b.apart {
		d.want = tidy(d.want)
	}
	return b, nil
}

// tidy ends a transcript with one line end.
func tidy(s string) string { return strings.TrimRight(s, " \n") + "\n" }

// expected is what a front shall do, and the difference if it is one.
func (b *behaviour) expected(front string) (string, *difference) {
	for _, d := range b.apart {
		if slices.Contains(d.fronts, front) {
			return d.want, d
		}
	}
	return b.want, nil
}

// text is a behaviour as its file has it.
func (b *behaviour) text() string {
	var s strings.Builder
	s.WriteString(b.want)
	for _, d := range b.apart {
		fmt.Fprintf(&s, "%s%s: %s\n%s", apartMark, strings.Join(d.fronts, ", "), d.reason, d.want)
	}
	return s.String()
}
