package schema

import "kasgen/generator/spec"

// Patterns are in the part of ECMA-262 that Go's regular expressions share, as
// JSON Schema recommends (2020-12 core, section 6.4).
const (
	label     = `[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?`
	name      = label + `(?:\.` + label + `)*`
	octet     = `(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])`
	ipv4      = `(?:` + octet + `\.){3}` + octet
	bracketed = `\[[^\[\]]+\]`
	port      = `0*(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])`
	number    = `0*(?:[0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])`
	wildcard  = `(?:|0\.0\.0\.0|\[::\])` // as a host

	// What a path may not hold: control characters, and what means something
	// inside the quotes of some program.
	plain = "[^\\x00-\\x1f\\x7f-\\x9f$\"'`\\\\"

	unit            = `(?:ns|us|µs|μs|ms|s|m|h)`
	durationPattern = `^[-+]?(?:0|(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)` + unit + `)+)$`
	limitPattern    = `^\+?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)` + unit + `)*(?:[0-9.]*[1-9][0-9.]*` + unit + `)(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)` + unit + `)*$`
	datePattern     = `^(?:[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01]))?$`
)

// form is a text's grammar.
type form struct {
	whole  string // the text in full
	not    string // matched by what whole would let through and must not
	length int    // at most, 0: any
}

// forms are the grammars by the names that the spec's rules have for them.
func forms() map[spec.Form]form {
	const segment = plain + "/]"
	return map[spec.Form]form{
		spec.FormURL:     {whole: `[hH][tT][tT][pP][sS]?://(?:\[[0-9a-fA-F:.%]+\]|` + plain + `/?#@:\[\]\s]+)(?::[0-9]*)?(?:/` + plain + `?#]*)?\??#?`},
		spec.FormHTTPS:   {whole: `[hH][tT][tT][pP][sS]://(?:\[[0-9a-fA-F:.%]+\]|` + plain + `/?#@:\[\]\s]+)(?::[0-9]*)?(?:/` + plain + `?#]*)?\??#?`},
		spec.FormEmail:   {whole: plain + `@,<>\s]+@` + name},
		spec.FormName:    {whole: name, not: `^` + ipv4 + `$`, length: 253},
		spec.FormAddress: {whole: `(?:` + bracketed + `|` + name + `)?:` + port},
		spec.FormListen:  {whole: `(?:` + bracketed + `|` + ipv4 + `)?:` + port},
		spec.FormDialled: {whole: `(?:` + bracketed + `|` + name + `):` + port, not: `^` + wildcard + `:`},
		spec.FormPath:    {whole: `(?:/` + segment + `+)+`, not: `/\.\.?(?:/|$)`},
		spec.FormPrefix:  {whole: `(?:/[A-Za-z0-9._~-]+)+`, not: `/\.\.?(?:/|$)`},
		spec.FormVersion: {whole: `v?` + number + `\.` + number + `(?:\.` + number + `)?`},
		spec.FormModule:  {whole: plain + `]*`, not: `\.\.`},
		spec.FormNetwork: {whole: `(?:` + ipv4 + `/(?:[0-9]|[12][0-9]|3[0-2])|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*/(?:[0-9]|[1-9][0-9]|1[01][0-9]|12[0-8]))`},
	}
}

// apply puts the form to a node; empty permits no text as well.
func (f form) apply(n *Node, empty bool) {
	n.Pattern = "^(?:" + f.whole + ")"
	if empty {
		n.Pattern += "?"
	}
	n.Pattern += "$"
	if f.not != "" {
		n.Not = &Node{Type: "string", Pattern: f.not} // null has no pattern to break
	}
	n.MaxLength = f.length
}
