package nginxconf

// Parse reads a configuration file; name is its name in findings. The error,
// where there is one, is a diag.Findings with the first fault: behind it, as
// in nginx, nothing is known.
func Parse(name string, data []byte) (*File, error) {
	p := parser{lexer: lexer{file: name, data: data, line: 1}}
	f := &File{Name: name}
	top := &Block{}
	if err := p.block(top, 0); err != nil {
		return nil, err
	}
	f.Directives, f.Tail, f.End = top.Directives, top.Tail, top.End
	return f, nil
}

type parser struct{ lexer }

// block reads directives up to the brace that closes the block, or, at depth
// 0, to the end of the file.
func (p *parser) block(b *Block, depth int) error {
	if depth > MaxDepth {
		return p.fault(codeTooDeep, p.pos(), "real files nest fewer than ten", "look for a brace that is not closed",
			"blocks nested more than %d deep", MaxDepth)
	}
	var comments []string
	var last *Directive // the directive whose line we are still on
	lastLine := 0
	for {
		t, err := p.next()
		if err != nil {
			return err
		}
		switch t.kind {
		case tokenComment:
			if last != nil && last.Comment == nil && t.pos.Line == lastLine && len(comments) == 0 {
				last.Comment = &t.value
				continue
			}
			comments = append(comments, t.value)
		case tokenWord:
			d := &Directive{Before: comments, Name: Word{Value: t.value, Pos: t.pos}}
			comments = nil
			if lastLine, err = p.directive(d, depth); err != nil {
				return err
			}
			b.Directives = append(b.Directives, d)
			last = d
		case tokenClose:
			if depth == 0 {
				return p.fault(codeUnexpected, t.pos, "no block is open here", "remove the brace, or open the block that it closes", `unexpected "}"`)
			}
			b.Tail, b.End = comments, t.pos
			return nil
		case tokenEOF:
			if depth > 0 {
				return p.truncated(`"}"`)
			}
			b.Tail, b.End = comments, t.pos
			return nil
		default:
			return p.fault(codeUnexpected, t.pos, "a directive starts with its name", "remove it, or write the directive before it",
				"unexpected %q", p.data[p.at-1])
		}
	}
}

// directive reads the rest of d after its name and tells its last line.
func (p *parser) directive(d *Directive, depth int) (int, error) {
	for {
		t, err := p.next()
		if err != nil {
			return 0, err
		}
		switch t.kind {
		case tokenWord:
			d.Args = append(d.Args, Word{Value: t.value, Pos: t.pos})
		case tokenComment:
			d.Before = append(d.Before, t.value)
		case tokenEnd:
			d.End = t.pos
			return t.pos.Line, nil
		case tokenOpen:
			d.End, d.Block = t.pos, &Block{}
			if err := p.block(d.Block, depth+1); err != nil {
				return 0, err
			}
			return d.Block.End.Line, nil
		case tokenClose:
			return 0, p.fault(codeUnexpected, t.pos, `the directive "`+d.Name.Value+`" is not ended`, `write ";" before the brace`, `unexpected "}"`)
		default:
			return 0, p.truncated(`";" or "}"`)
		}
	}
}
