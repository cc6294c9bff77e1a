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

// ReadFor is Read where defaults has changed what the file may leave out.
func ReadFor(defaults func(*Spec), name string, data []byte, overrides []Override) (*Spec, diag.Findings) {
	return read(time.Now().UTC(), defaults, name, data, overrides)
}

// ReadOn is Read on another day. Only warnings look at the day.
func ReadOn(now time.Time, name string, data []byte, overrides []Override) (*Spec, diag.Findings) {
	return read(now, func(*Spec) {}, name, data, overrides)
}

func read(now time.Time, defaults func(*Spec), name string, data []byte, overrides []Override) (*Spec, diag.Findings) {
	s := Default()
	defaults(&s)
	doc, findings := strictyaml.Decode(name, data, &s)
	c := &checker{spec: &s, today: now.Truncate(24 * time.Hour), doc: doc, sources: map[string]string{}}
	for _, o := range overrides {
		c.sources[o.Field] = o.Source
		if f := o.apply(&s); f != nil {
			findings.Add(*f)
			c.faulty(o.Field)
		}
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
