package kas

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"kasgen/internal/diag"
	"kasgen/internal/kasconf"
	"kasgen/internal/strictyaml"
)

// commandLimit is how long config.command may take: it fetches secrets, and
// whoever waits for kas to start should learn why it does not.
const commandLimit = 30 * time.Second

// Complete runs the command that the file names for more configuration, if it
// does, and reads what it prints as YAML over the file, as GitLab's kas does at
// its start. The words of the command are told apart as a shell does, but no
// shell runs it. A failure is a diag.Findings.
func (c *Config) Complete(ctx context.Context) (*Config, error) {
	if c.set.Config == nil || c.set.Config.Command == "" || c.extra != nil {
		return c, nil
	}
	output, err := runCommand(ctx, c.set.Config.Command)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, diag.Findings{{Code: CodeCommand, Severity: diag.Error, Pos: c.position("config.command"), Field: "config.command",
			What: "config.command failed: " + err.Error(), Why: "what it would have added to the file is missing",
			Fix: "run it by hand: it must print YAML on its standard output and exit with 0"}}
	}
	whole := &Config{source: c.source, memory: c.memory, extra: output}
	// A place needs a name; the command's own words may hold a secret.
	if err := whole.load(c.source, kasconf.Source{Name: "output of config.command", Data: output}); err != nil {
		return nil, err
	}
	return whole, nil
}

// Extra is what config.command has added to the file.
func (c *Config) Extra() []byte { return c.extra }

func (c *Config) position(field string) diag.Pos {
	var f kasconf.File
	doc, _ := strictyaml.Decode(c.source.Name, c.source.Data, &f) // read before, without a fault
	return doc.Pos(field)
}

// runCommand is what a command prints.
func runCommand(ctx context.Context, command string) ([]byte, error) {
	argv, err := words(command)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, commandLimit)
	defer cancel()
	out, complaints := &limited{left: strictyaml.MaxBytes + 1}, &limited{left: 4 << 10}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = out, complaints
	cmd.WaitDelay = time.Second // for children that hold its output open
	err = cmd.Run()
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("it has not ended within %v", commandLimit)
	case err != nil:
		if last := lastLine(complaints.Bytes()); last != "" {
			return nil, fmt.Errorf("%w: %s", err, last)
		}
		return nil, err
	}
	return append([]byte{}, out.Bytes()...), nil
}

// limited keeps the beginning of what is written and takes all of it: a command
// that cannot write would fail for another reason than its own.
type limited struct {
	bytes.Buffer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	keep := min(len(p), l.left)
	l.left -= keep
	l.Buffer.Write(p[:keep])
	return len(p), nil
}

func lastLine(text []byte) string {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

var (
	errNoWords = errors.New("the command has no words")
	errQuote   = errors.New("a quotation mark or a backslash at the end of the command has no partner")
)

// words tells the words of a command apart: by spaces, with quotation marks and
// backslashes as in a shell (POSIX, section 2.2), and nothing else.
func words(command string) ([]string, error) {
	var all []string
	var word []byte
	in, quote := false, byte(0)
	for i := 0; i < len(command); i++ {
		b := command[i]
		switch {
		case quote == '\'' && b != '\'', quote == '"' && b != '"' && b != '\\':
			word = append(word, b)
		case quote != 0 && b == quote:
			quote = 0
		case b == '\\':
			if i++; i == len(command) {
				return nil, errQuote
			}
			if quote == '"' && !slices.Contains([]byte("\"\\$`"), command[i]) {
				word = append(word, '\\')
			}
			word, in = append(word, command[i]), true
		case b == '\'' || b == '"':
			quote, in = b, true
		case b == ' ' || b == '\t' || b == '\n':
			if in {
				all, word, in = append(all, string(word)), nil, false
			}
		default:
			word, in = append(word, b), true
		}
	}
	if quote != 0 {
		return nil, errQuote
	}
	if in {
		all = append(all, string(word))
	}
	if len(all) == 0 {
		return nil, errNoWords
	}
	return all, nil
}
