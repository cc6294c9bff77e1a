package scenario

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"kasgen/generator/bundle"
	"kasgen/generator/spec"
	"kasgen/internal/layout"
)

// place is where a scenario's bundle lies.
type place string

// write writes the bundle, and over nginx's file the one that the scenario has
// instead, if it has one: a template, for the addresses and files that the spec
// has.
func (s Scenario) write(b *bundle.Bundle, read *spec.Spec, dir string) (place, error) {
	p := place(dir)
	if _, err := b.Write(dir, false); err != nil || s.Nginx == nil {
		return p, err
	}
	if _, err := os.Stat(p.nginx()); err != nil {
		return p, fmt.Errorf("scenario %s has an nginx.conf in place of none: %w", s.Name, err)
	}
	t, err := template.New(s.Name).Option("missingkey=error").Parse(string(s.Nginx))
	if err != nil {
		return p, err
	}
	var text bytes.Buffer
	if err := t.Execute(&text, read); err != nil {
		return p, err
	}
	return p, os.WriteFile(p.nginx(), text.Bytes(), 0o600)
}

func (p place) nginx() string { return layout.Of(string(p)).Path(layout.Web) }

// shorten writes another default for a limit of nginx's, until it is restored.
func (p place) shorten(directive string) (restore func() error, err error) {
	text, err := os.ReadFile(p.nginx())
	if err != nil {
		return nil, err
	}
	const head = "\nhttp {\n"
	short := strings.Replace(string(text), head, head+"    "+directive+";\n", 1)
	if short == string(text) {
		return nil, fmt.Errorf("%s has no http{} in which %s could stand", filepath.Base(p.nginx()), directive)
	}
	write := func(text string) error { return os.WriteFile(p.nginx(), []byte(text), 0o600) }
	return func() error { return write(string(text)) }, write(short)
}
