package spec

import (
	"fmt"
	"strings"
	"time"

	"kasgen/internal/diag"
	"kasgen/internal/explain"
)

// suppressible says whether findings of a code can be suppressed: warnings
// about what kasgen.yaml says.
func suppressible(e explain.Entry) bool {
	return e.Severity == explain.Warning && (strings.HasPrefix(e.Code, "KAS15") || strings.HasPrefix(e.Code, "KAS17"))
}

// SuppressibleCodes lists the codes that suppress can name.
func SuppressibleCodes() []string {
	var codes []string
	for _, e := range explain.All() {
		if suppressible(e) {
			codes = append(codes, e.Code)
		}
	}
	return codes
}

// suppress checks the suppressions and marks the findings that they are for.
// An error anywhere leaves open what else would have been found, so that no
// suppression is called idle then.
func (c *checker) suppress(failed bool) {
	used := make([]bool, len(c.spec.Suppress))
	valid := make([]bool, len(c.spec.Suppress))
	for i, s := range c.spec.Suppress {
		valid[i] = c.suppression(fmt.Sprintf("suppress[%d]", i), s)
	}
	for n := range c.findings {
		f := &c.findings[n]
		for i, s := range c.spec.Suppress {
			if !valid[i] || !s.matches(*f) {
				continue
			}
			used[i] = true
			if f.Suppressed == nil && !s.ended(c.today) {
				f.Suppressed = &diag.Suppression{Reason: strings.TrimSpace(s.Reason), Until: string(s.Until)}
			}
		}
	}
	for i, s := range c.spec.Suppress {
		at := fmt.Sprintf("suppress[%d]", i)
		switch {
		case !valid[i]:
		case !used[i] && !failed && !c.findings.Failed():
			c.warn(CodeSuppressNothing, at, fmt.Sprintf("%s of %s matches no finding", at, s.Code),
				"it would hide the next finding of its kind, which nobody has looked at", "remove it, or correct its field")
		case used[i] && s.ended(c.today):
			c.warn(CodeSuppressEnded, at+".until", fmt.Sprintf("%s of %s ended with %s", at, s.Code, s.Until),
				"somebody meant to look at the finding again by then", "repair what the finding is about, or write another day")
		}
	}
}

// suppression checks one entry by itself.
func (c *checker) suppression(at string, s Suppression) bool {
	before := len(c.findings)
	c.note(at+".code", Rule{Values: SuppressibleCodes(), Required: true})
	c.note(at+".reason", Rule{Required: true})
	e, known := explain.Lookup(s.Code)
	switch {
	case c.rules != nil:
	case s.Code == "":
		c.required(at + ".code")
	case !known || e.Code != s.Code:
		fix := "write a code that `kasgen explain` lists"
		if near := explain.Nearest(s.Code); near != "" {
			fix = "write " + near
		}
		c.add(CodeSuppressUnknown, at+".code", fmt.Sprintf("%s.code is %q, which is no finding's code", at, s.Code), "it would suppress nothing", fix)
	case e.Severity != explain.Warning:
		c.add(CodeSuppressError, at+".code", fmt.Sprintf("%s is an error: %s", s.Code, e.Title), "an error says that the result would not work, and no reason makes it work",
			"repair what the finding is about, and remove this")
	case !suppressible(e):
		c.add(CodeSuppressError, at+".code", fmt.Sprintf("%s cannot be suppressed: %s", s.Code, e.Title), "a kasgen.yaml suppresses what is found about its own values",
			"remove this")
	}
	if strings.TrimSpace(s.Reason) == "" && c.rules == nil {
		c.add(CodeSuppressReason, at+".reason", fmt.Sprintf("%s has no reason", at),
			"who reads the file next must be able to tell whether it still holds", "write in "+at+".reason why the warning does not matter here")
	}
	return len(c.findings) == before
}

// matches says whether s is for f. A field stands for all that is in it.
func (s Suppression) matches(f diag.Finding) bool {
	if f.Code != s.Code || f.Severity != diag.Warning {
		return false
	}
	if s.Field == "" || s.Field == f.Field || s.Field == f.File {
		return true
	}
	rest, in := strings.CutPrefix(f.Field, s.Field)
	return in && (rest[0] == '.' || rest[0] == '[')
}

// ended says whether the day of s is over.
func (s Suppression) ended(today time.Time) bool {
	day, err := time.Parse(time.DateOnly, string(s.Until))
	return err == nil && today.After(day)
}
