package spec

import (
	"time"

	"kasgen/internal/diag"
	"kasgen/internal/strictyaml"
)

// Read decodes a kasgen.yaml, applies overrides, fills in defaults and checks
// the rules. The findings hold every fault and may hold warnings where there
// is none. The spec is nil if any finding is an error.
func Read(name string, data []byte, overrides []Override) (*Spec, diag.Findings) {
	return ReadOn(time.Now().UTC(), name, data, overrides)
}

// Defaults fills in what nobody has written, before anything follows from it.
// written says whether the file or an override has a field.
type Defaults func(s *Spec, written func(field string) bool)

// ReadFor is Read with defaults of somebody else's.
func ReadFor(defaults Defaults, name string, data []byte, overrides []Override) (*Spec, diag.Findings) {
	return read(time.Now().UTC(), defaults, name, data, overrides)
}

// ReadOn is Read on another day. Only warnings look at the day.
func ReadOn(now time.Time, name string, data []byte, overrides []Override) (*Spec, diag.Findings) {
	return read(now, nil, name, data, overrides)
}

func read(now time.Time, defaults Defaults, name string, data []byte, overrides []Override) (*Spec, diag.Findings) {
	s := Default()
	doc, findings := strictyaml.Decode(name, data, &s)
	c := &checker{spec: &s, today: now.Truncate(24 * time.Hour), doc: doc, sources: map[string]string{}}
	for _, o := range overrides {
		c.sources[o.Field] = o.Source
		if f := o.apply(&s); f != nil {
			findings.Add(*f)
			c.faulty(o.Field)
		}
	}
	if defaults != nil {
		defaults(&s, c.has)
	}
	s.resolve()
	c.check()
	c.suppress(findings.Failed())
	findings = append(findings, c.findings...)
	findings.Sort()
	if findings.Failed() {
		return nil, findings
	}
	return &s, findings
}
