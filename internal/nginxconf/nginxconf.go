// Package nginxconf owns the syntax of nginx's configuration files: words,
// quotes, blocks, comments and where each of them stands. It knows no
// directive. Its law: what nginx's own reader refuses is refused here with a
// place, what it accepts becomes the same words, and parse(print(x)) == x.
//
// Two things are stricter than nginx: a NUL byte in a word, which nginx would
// cut the word at, and blocks nested deeper than MaxDepth. Blocks of lua code
// are not nginx's own syntax and are read as ordinary blocks.
package nginxconf

import "kasgen/internal/diag"

// MaxDepth is how deep blocks may nest. nginx recurses without a limit; real
// files stay below ten.
const MaxDepth = 100

// maxWord is nginx's NGX_CONF_BUFFER: a word or a comment of that many bytes
// is refused as a missing quote.
const maxWord = 4096

// File is one configuration file.
type File struct {
	Name       string
	Directives []*Directive
	// Tail is the comments after the last directive.
	Tail []string
	// End is where the file ends.
	End diag.Pos
}

// Directive is a name with arguments, ended by a semicolon or by a block.
type Directive struct {
	// Before is the comments above the directive or between its words,
	// without their number sign.
	Before []string
	Name   Word
	Args   []Word
	// Block is set if the directive has one, even an empty one.
	Block *Block
	// Comment is the comment behind the directive on its last line; nil if
	// there is none.
	Comment *string
	// End is where the semicolon or the opening brace stands.
	End diag.Pos
}

// Block is the directives between braces.
type Block struct {
	Directives []*Directive
	// Tail is the comments before the closing brace.
	Tail []string
	// End is where the closing brace stands.
	End diag.Pos
}

// Word is one word with its quotes and escapes resolved as nginx resolves
// them; variables are left as they are written.
type Word struct {
	Value string
	Pos   diag.Pos
}

// Values is the arguments without their places.
func (d *Directive) Values() []string {
	v := make([]string, len(d.Args))
	for i, a := range d.Args {
		v[i] = a.Value
	}
	return v
}
