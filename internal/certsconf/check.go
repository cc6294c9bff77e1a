package certsconf

import (
	"fmt"
	"net"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"kasgen/internal/diag"
	"kasgen/internal/strictyaml"
)

// checker looks at the values of a file that has the right form.
type checker struct{ *strictyaml.Checker }

func check(sc *strictyaml.Checker, f *File) {
	c := &checker{sc}
	if f.APIVersion != APIVersion {
		c.Add(CodeKind, "apiVersion", fmt.Sprintf("apiVersion is %q", f.APIVersion), "this kasgen reads "+APIVersion, "write apiVersion: "+APIVersion)
	}
	if f.Kind != Kind {
		c.Add(CodeKind, "kind", fmt.Sprintf("kind is %q", f.Kind), "certificates are described by a document of kind "+Kind, "write kind: "+Kind)
	}
	oneOf(c, "source", f.Source, SourceACME)
	switch {
	case f.ACME != nil:
		c.acme("acme", *f.ACME)
	case f.Source == SourceACME:
		c.missing("acme", "it says from whom certificates are obtained, and how")
	}
	if len(f.Certificates) == 0 {
		c.missing("certificates", "a file without a certificate does nothing")
	}
	seen := map[string]string{}
	for i, cert := range f.Certificates {
		c.certificate(fmt.Sprintf("certificates[%d]", i), cert, seen)
	}
	c.address("observability.listen", f.Observability.Listen)
	if f.Drain == 0 {
		c.missing("drain", "without a limit a stop would wait for the last stream")
	}
}

func (c *checker) missing(field, why string) {
	c.Add(CodeMissing, field, field+" is not set", why, "set it")
}

func oneOf[T ~string](c *checker, field string, value T, allowed ...T) {
	if slices.Contains(allowed, value) {
		return
	}
	words := make([]string, len(allowed))
	for i, a := range allowed {
		words[i] = string(a)
	}
	fix := "write " + strings.Join(words, ", or ")
	if near := diag.Nearest(string(value), words); near != "" && value != "" {
		fix = "write " + near
	}
	c.Add(CodeChoice, field, fmt.Sprintf("%s is %q", field, string(value)), "it is one of "+strings.Join(words, ", "), fix)
}

func (c *checker) acme(at string, a ACME) {
	if u, err := url.Parse(a.Directory); err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Fragment != "" {
		c.Add(CodeURL, at+".directory", fmt.Sprintf("%s.directory is %q", at, a.Directory),
			"a CA is spoken to over https only (RFC 8555, section 6.1)", "write the URL of the CA's directory, as in https://acme-v02.api.letsencrypt.org/directory")
	}
	c.optional(at+".caFile", a.CAFile)
	if e := a.ExternalAccount; e != nil {
		if e.KeyID == "" {
			c.missing(at+".externalAccount.keyID", "the CA finds its key by it")
		}
		c.path(at+".externalAccount.keyFile", e.KeyFile)
	}
	oneOf(c, at+".keyType", a.KeyType, KeyTypes()...)
	oneOf(c, at+".challenge", a.Challenge, Challenges()...)
	if a.Challenge == TLSALPN01 && a.Webroot != "" {
		c.Add(CodeWebroot, at+".webroot", at+".webroot is set although the challenge is tls-alpn-01",
			"nothing would be written there", "remove it, or write challenge: http-01")
	}
	c.optional(at+".webroot", a.Webroot)
	c.cache(at+".cache", a.Cache)
	c.optional(at+".cache.keyFile", a.Cache.KeyFile)
}

func (c *checker) cache(at string, cache Cache) {
	s := cache.Secret
	if s == nil {
		c.path(at+".directory", cache.Directory)
		return
	}
	if cache.Directory != "" {
		c.Add(CodeDuplicate, at+".secret", at+" has both directory and secret", "replicas share one place", "remove one")
	}
	switch {
	case s.Name == "":
		c.missing(at+".secret.name", "the Secret is found by it")
	case !isObject(s.Name, true):
		c.Add(CodeName, at+".secret.name", fmt.Sprintf("%s.secret.name is %q", at, s.Name), "Kubernetes names objects in lower case, as host names are (RFC 1123)", "write it like kas-certificates")
	}
	if s.Namespace != "" && !isObject(s.Namespace, false) {
		c.Add(CodeName, at+".secret.namespace", fmt.Sprintf("%s.secret.namespace is %q", at, s.Namespace), "Kubernetes names namespaces in lower case, without a dot (RFC 1123)", "write it like gitlab")
	}
	c.optional(at+".secret.kubeconfig", s.Kubeconfig)
}

// isObject accepts names as Kubernetes' objects have them: labels, of which
// there may be several where dots are allowed.
func isObject(name string, dots bool) bool {
	labels := strings.Split(name, ".")
	return len(name) <= 253 && (dots || len(labels) == 1) && !slices.ContainsFunc(labels, func(l string) bool { return !isLabel(l) })
}

func (c *checker) certificate(at string, cert Certificate, seen map[string]string) {
	if len(cert.Names) == 0 {
		c.missing(at+".names", "a certificate is for names")
	}
	for i, name := range cert.Names {
		field := fmt.Sprintf("%s.names[%d]", at, i)
		if !isName(name) {
			c.Add(CodeName, field, fmt.Sprintf("%s is %q", field, name),
				"public CAs certify host names with a dot, and a wildcard needs dns-01, which is not spoken here", "write a host name in lower case, as in kas.example.com")
		}
		if i == 0 {
			c.unique(field, name, seen)
		}
	}
	c.path(at+".certificateFile", cert.CertificateFile)
	c.path(at+".keyFile", cert.KeyFile)
	c.optional(at+".combinedFile", cert.CombinedFile)
	c.unique(at+".certificateFile", cert.CertificateFile, seen)
	c.unique(at+".keyFile", cert.KeyFile, seen)
	c.unique(at+".combinedFile", cert.CombinedFile, seen)
}

// unique reports what another entry has: a certificate is known by its first
// name, and a file has one content.
func (c *checker) unique(field, value string, seen map[string]string) {
	if value == "" {
		return // reported as missing, or allowed
	}
	if other, there := seen[value]; there {
		c.Add(CodeDuplicate, field, fmt.Sprintf("%s is %q, as %s is", field, value, other), "each has its own", "give this one another")
		return
	}
	seen[value] = field
}

func (c *checker) optional(field, value string) {
	if value != "" {
		c.path(field, value)
	}
}

func (c *checker) path(field, value string) {
	switch {
	case value == "":
		c.missing(field, "nothing can be guessed in its place")
	case !path.IsAbs(value) || path.Clean(value) != value || value == "/":
		c.Add(CodePath, field, fmt.Sprintf("%s is %q", field, value),
			"it is compared as text with the paths in other files, so it is absolute and has neither .. nor double slashes", "write it like /var/lib/kasgen/tls/kas.crt")
	}
}

func (c *checker) address(field, address string) {
	if address == "" {
		c.missing(field, "whoever watches certificates asks there")
		return
	}
	_, port, err := net.SplitHostPort(address)
	if n, convErr := strconv.ParseUint(port, 10, 16); err != nil || convErr != nil || n == 0 {
		c.Add(CodeAddress, field, fmt.Sprintf("%s is %q", field, address),
			"an address is host:port with a port from 1 to 65535; IPv6 addresses stand in brackets", "write it like 127.0.0.1:8156")
	}
}

// isName accepts host names with a dot, as certificates of public CAs have
// them; the last label is not a number, or it would be an address.
func isName(name string) bool {
	labels := strings.Split(name, ".")
	if len(name) > 253 || len(labels) < 2 {
		return false
	}
	if slices.ContainsFunc(labels, func(l string) bool { return !isLabel(l) }) {
		return false
	}
	last := labels[len(labels)-1]
	return len(last) > 1 && last[0] >= 'a' && last[0] <= 'z'
}

func isLabel(label string) bool {
	return label != "" && len(label) <= 63 && strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") == "" &&
		!strings.HasPrefix(label, "-") && !strings.HasSuffix(label, "-")
}
