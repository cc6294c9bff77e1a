package spec

import (
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
	"unicode"

	"kasgen/internal/diag"
	"kasgen/internal/kasconf"
	"kasgen/internal/strictyaml"
)

// checker holds a spec to the rules.
type checker struct {
	spec     *Spec
	today    time.Time
	doc      *strictyaml.Doc
	sources  map[string]string // of fields that were overridden
	bad      []string          // overridden fields that could not be read
	findings diag.Findings
	rules    map[string]Rule // gathered instead of applied, where not nil
}

func (c *checker) faulty(field string) { c.bad = append(c.bad, field) }

// has says whether the file or an override sets field.
func (c *checker) has(field string) bool {
	_, overridden := c.sources[field]
	return overridden || c.doc.Has(field) || c.rules != nil
}

// written is the first of the fields that somebody set, or the first: where
// two values do not go together, the place is that of one that was written.
func (c *checker) written(fields ...string) string {
	for _, field := range fields {
		if c.has(field) {
			return field
		}
	}
	return fields[0]
}

func (c *checker) pos(field string) diag.Pos {
	if source, ok := c.sources[field]; ok {
		return diag.Pos{File: source}
	}
	return c.doc.Pos(field)
}

func (c *checker) report(severity diag.Severity, code, field, what, why, fix string) {
	_, overridden := c.sources[field]
	if slices.Contains(c.bad, field) || !overridden && c.doc.Faulty(field) {
		return // what could not be decoded is not what was meant
	}
	c.findings.Add(diag.Finding{Code: code, Severity: severity, Pos: c.pos(field), Field: field, What: what, Why: why, Fix: fix})
}

func (c *checker) add(code, field, what, why, fix string) {
	c.report(diag.Error, code, field, what, why, fix)
}

func (c *checker) warn(code, field, what, why, fix string) {
	c.report(diag.Warning, code, field, what, why, fix)
}

// check looks at single values first, then at what does not go together.
func (c *checker) check() {
	s := c.spec
	c.note("apiVersion", Rule{Values: []string{APIVersion}, Required: true})
	if s.APIVersion != APIVersion {
		what := fmt.Sprintf("apiVersion is %q", s.APIVersion)
		if s.APIVersion == "" {
			what = "apiVersion is not set"
		}
		c.add(CodeAPIVersion, "apiVersion", what, "it says which keys the file has; this kasgen reads "+APIVersion, "write apiVersion: "+APIVersion)
	}
	choice(c, "topology", s.Topology, topologies()...)
	c.url("gitlab.url", s.GitLab.URL)
	if !c.note("gitlab.externalURL", Rule{Form: FormURL}) && c.has("gitlab.externalURL") {
		c.url("gitlab.externalURL", s.GitLab.ExternalURL)
	}
	c.optionalPath("gitlab.caFile", s.GitLab.CAFile)
	c.path("stateDir", s.StateDir)
	c.name("names.kas", s.Names.KAS)
	c.secondName()
	c.tls()
	c.balancer()
	c.grpcBalancer()
	c.http()
	c.kas()
	choice(c, "agents.websocket", s.Agents.Websocket, WebsocketKeep, WebsocketRemove)
	c.timeouts()
	c.nginx()
	c.together()
}

// choice reports a value outside an enumeration.
func choice[T ~string](c *checker, field string, value T, allowed ...T) {
	words := make([]string, len(allowed))
	for i, a := range allowed {
		words[i] = string(a)
	}
	if c.note(field, Rule{Values: words}) || slices.Contains(allowed, value) {
		return
	}
	fix := "write " + strings.Join(words, ", or ")
	if near := diag.Nearest(string(value), words); near != "" && value != "" {
		fix = "write " + near
	}
	c.add(CodeChoice, field, fmt.Sprintf("%s is %q", field, string(value)), "it is one of "+strings.Join(words, ", "), fix)
}

func (c *checker) required(field string) {
	c.add(CodeRequired, field, field+" is not set", "nothing can be guessed in its place", "set it")
}

// text reports a text that is empty.
func (c *checker) text(field, value string) {
	if !c.note(field, Rule{Required: true}) && strings.TrimSpace(value) == "" {
		c.required(field)
	}
}

// filled reports a list that is empty.
func (c *checker) filled(field string, list []string) {
	if !c.note(field, Rule{Required: true}) && len(list) == 0 {
		c.required(field)
	}
}

func (c *checker) url(field, value string) {
	if c.note(field, Rule{Form: FormURL, Required: true}) {
		return
	}
	if value == "" {
		c.required(field)
		return
	}
	u, err := url.Parse(value)
	switch {
	case err != nil, u.Scheme != "https" && u.Scheme != "http", u.Hostname() == "",
		u.User != nil, u.RawQuery != "", u.Fragment != "", strings.ContainsFunc(value, unquotable):
		c.add(CodeURL, field, fmt.Sprintf("%s is %q", field, value), "it must be an http or https URL without user, query and fragment",
			"write it like https://gitlab.example.com")
	}
}

func (c *checker) name(field, value string) {
	if c.note(field, Rule{Form: FormName, Required: true}) {
		return
	}
	if value == "" {
		c.required(field)
		return
	}
	if _, err := netip.ParseAddr(value); err == nil {
		c.add(CodeName, field, fmt.Sprintf("%s is the address %s", field, value),
			"clients send no SNI for an address (RFC 6066 section 3), and public CAs issue certificates for names", "write a host name")
		return
	}
	if !isName(value) {
		c.add(CodeName, field, fmt.Sprintf("%s is %q", field, value), "it must be a host name in lower case, without scheme, port or trailing dot",
			"write it like kas.example.com")
	}
}

// isName accepts host names as RFC 1123 section 2.1 has them, in lower case.
func isName(name string) bool {
	if name == "" || len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" ||
			label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return true
}

// unquotable are characters that mean something inside quotes to one of the
// programs: nginx expands $ in file names, HAProxy in double quotes.
func unquotable(r rune) bool {
	return unicode.IsControl(r) || r == unicode.ReplacementChar || strings.ContainsRune("$\"'\\`", r)
}

func (c *checker) path(field, value string) {
	if c.note(field, Rule{Form: FormPath, Required: true}) {
		return
	}
	switch {
	case value == "":
		c.required(field)
	case !path.IsAbs(value), path.Clean(value) != value, value == "/", strings.ContainsFunc(value, unquotable):
		c.add(CodePath, field, fmt.Sprintf("%s is %q", field, value),
			"the programs that read it start in other directories, so it must be absolute, and it is compared as text, so without .. or double slashes; quotes, $ and backslashes mean something to some of them",
			"write it like /var/lib/kasgen")
	}
}

// derivedPath checks a path that follows from stateDir unless it is set.
func (c *checker) derivedPath(field, value string) {
	if !c.note(field, Rule{Form: FormPath}) && c.has(field) {
		c.path(field, value)
	}
}

func (c *checker) optionalPath(field, value string) {
	if !c.note(field, Rule{Form: FormPath}) && value != "" {
		c.path(field, value)
	}
}

// address reports what is not host:port.
func (c *checker) address(field, value string) {
	if c.note(field, Rule{Form: FormAddress, Required: true}) {
		return
	}
	if value == "" {
		c.required(field)
		return
	}
	if _, err := parseEndpoint(value); err != nil {
		c.add(CodeAddress, field, fmt.Sprintf("%s is %q", field, value), err.Error(), "write it like 127.0.0.1:8150 or [::1]:8150")
	}
}

// listen reports what is not host:port with an address of this machine.
func (c *checker) listen(field, value string) {
	c.address(field, value)
	if c.note(field, Rule{Form: FormListen, Required: true}) {
		return
	}
	if e, err := parseEndpoint(value); err == nil && e.host != "" && !e.addr.IsValid() {
		c.add(CodeAddress, field, fmt.Sprintf("%s is %q", field, value), "a name may resolve to several addresses, or to none when the machine starts", "write an IP address")
	}
}

// dialled reports what is not host:port with a host.
func (c *checker) dialled(field, value string) {
	c.address(field, value)
	if c.note(field, Rule{Form: FormDialled, Required: true}) {
		return
	}
	if e, err := parseEndpoint(value); err == nil && e.wildcard() {
		c.add(CodeAddress, field, fmt.Sprintf("%s is %q", field, value), "it is connected to, and every address is none in particular",
			"write a host, as in 127.0.0.1"+value[strings.LastIndexByte(value, ':'):])
	}
}

// limit reports a duration that the programs cannot take.
func (c *checker) limit(field string, d Duration) {
	// HAProxy's timers end at 2^31 ms; whole milliseconds are all that nginx
	// and HAProxy both know.
	const most = 24 * 24 * time.Hour
	if c.note(field, Rule{Form: FormLimit}) {
		return
	}
	v := time.Duration(d)
	switch {
	case v <= 0:
		c.add(CodeLimit, field, fmt.Sprintf("%s is %v", field, v), "it must be more than zero: without a limit what is dead is held for ever", "write it like 30s")
	case v > most:
		c.add(CodeLimit, field, fmt.Sprintf("%s is %v", field, v), "HAProxy's timers end at 24 days", "write at most 576h")
	case v%time.Millisecond != 0:
		c.add(CodeLimit, field, fmt.Sprintf("%s is %v", field, v), "HAProxy and nginx count in milliseconds", "write whole milliseconds")
	}
}

func (c *checker) atLeast(field string, n, least, most int) {
	if !c.note(field, Rule{Least: least, Most: most}) && (n < least || n > most) {
		c.add(CodeLimit, field, fmt.Sprintf("%s is %d", field, n), fmt.Sprintf("it must be from %d to %d", least, most), fmt.Sprintf("write a number from %d to %d", least, most))
	}
}

func (c *checker) version(field, value string, least kasconf.Version, what string) {
	if c.note(field, Rule{Form: FormVersion}) {
		return
	}
	v, err := kasconf.ParseVersion(value)
	if err != nil {
		c.add(CodeVersion, field, fmt.Sprintf("%s is %q", field, value), "it decides what the files may say", fmt.Sprintf("write it like %q, in quotes", least))
		return
	}
	if v.Less(least) {
		c.add(CodeVersion, field, fmt.Sprintf("%s is %s", field, value), what, fmt.Sprintf("use %s or later", least))
	}
}
