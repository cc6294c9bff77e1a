package cli

import (
	"io"
	"os"
	"strings"

	"kasgen/internal/diag"
	"kasgen/internal/explain"
)

// tool is what SARIF says about kasgen and its rules.
func tool() diag.Tool {
	return diag.Tool{Name: "kasgen", Version: Version, Rule: rule, Source: source, Elsewhere: elsewhere}
}

func rule(code string) (diag.Rule, bool) {
	e, ok := explain.Lookup(code)
	if !ok {
		return diag.Rule{}, false
	}
	r := diag.Rule{Title: e.Title, Help: e.Plain(), Markdown: e.Markdown(), Severity: diag.Error}
	if e.Severity == explain.Warning {
		r.Severity = diag.Warning
	}
	return r, true
}

// source reads a file once more, to count its characters. Longer ones are not
// configuration.
func source(file string) []byte {
	const most = 1 << 20
	info, err := os.Stat(file)
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }() // only read
	text, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return nil
	}
	return text
}

// elsewhere recognises flags, variables, and "(default)" and its like.
func elsewhere(file string) bool {
	return strings.HasPrefix(file, "--") || strings.HasPrefix(file, EnvPrefix+"_") || strings.HasPrefix(file, "(")
}
