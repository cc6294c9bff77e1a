package edgeconf

import (
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

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
		c.Add(CodeKind, "kind", fmt.Sprintf("kind is %q", f.Kind), "the edge is configured by a document of kind "+Kind, "write kind: "+Kind)
	}
	c.positive("drain", f.Drain, "it bounds how long a stop takes")
	if len(f.Listeners) == 0 {
		c.missing("listeners", "an edge without a listener does nothing")
	}
	upstreams := c.upstreams(f.Upstreams)
	names, addresses := map[string]bool{}, map[string]bool{}
	for i, l := range f.Listeners {
		at := fmt.Sprintf("listeners[%d]", i)
		c.unique(at+".name", l.Name, names)
		c.unique(at+".address", l.Address, addresses)
		c.listener(at, l, upstreams)
	}
}

func (c *checker) missing(field, why string) {
	c.Add(CodeMissing, field, field+" is not set", why, "set it")
}

// unique reports a value that is empty or was seen before.
func (c *checker) unique(field, value string, seen map[string]bool) {
	switch {
	case value == "":
		c.missing(field, "it is what tells this entry from the others")
	case seen[value]:
		c.Add(CodeDuplicate, field, fmt.Sprintf("%s is %q, as in an entry above", field, value),
			"two entries cannot share it", "give each its own")
	}
	seen[value] = true
}

func (c *checker) address(field, address string) {
	if address == "" {
		return // reported as missing
	}
	_, port, err := net.SplitHostPort(address)
	if n, convErr := strconv.ParseUint(port, 10, 16); err != nil || convErr != nil || n == 0 {
		c.Add(CodeAddress, field, fmt.Sprintf("%s is %q", field, address),
			"an address is host:port with a port from 1 to 65535; IPv6 addresses stand in brackets",
			"write it like 127.0.0.1:9443, [::1]:9443 or :9443")
	}
}

func (c *checker) positive(field string, d Duration, why string) {
	if d <= 0 {
		c.Add(CodeLimit, field, field+" is missing or zero", why, "set a duration such as 10s")
	}
}

func (c *checker) upstreams(list []Upstream) []string {
	var names []string
	seen := map[string]bool{}
	for i, u := range list {
		at := fmt.Sprintf("upstreams[%d]", i)
		c.unique(at+".name", u.Name, seen)
		if u.Address == "" {
			c.missing(at+".address", "the edge dials it")
		}
		c.address(at+".address", u.Address)
		c.positive(at+".connect", u.Connect, "without a limit a dead upstream would hold its clients")
		if u.TLS != nil && u.TLS.ServerName == "" {
			c.missing(at+".tls.serverName", "the upstream's certificate is checked against it")
		}
		if u.Name != "" {
			names = append(names, u.Name)
		}
	}
	slices.Sort(names)
	return names
}

func (c *checker) listener(at string, l Listener, upstreams []string) {
	c.address(at+".address", l.Address)
	switch l.ProxyProtocol {
	case ProxyNone, ProxyV1, ProxyV2:
	default:
		c.Add(CodeProxy, at+".proxyProtocol", fmt.Sprintf("%s.proxyProtocol is %q", at, string(l.ProxyProtocol)),
			"the header must be required or refused; guessing would let a client state any address", "write none, v1 or v2")
	}
	if l.TLS != nil {
		c.tls(at+".tls", *l.TLS)
	}
	for i, name := range l.ServerNames {
		if !isHostName(name) {
			field := fmt.Sprintf("%s.serverNames[%d]", at, i)
			c.Add(CodeName, field, fmt.Sprintf("%s is %q", field, name), "it is compared with SNI and Host, which are host names",
				"write a host name in lower case without port or trailing dot")
		}
	}
	c.limits(at+".limits", l.Limits)
	c.routes(at+".routes", l.Routes, upstreams)
}

// isHostName accepts names and addresses as SNI and Host carry them.
func isHostName(name string) bool {
	if name == "" || len(name) > 253 {
		return false
	}
	if net.ParseIP(name) != nil {
		return true
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" ||
			strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
			return false
		}
	}
	return true
}

func (c *checker) tls(at string, t TLS) {
	if t.CertificateFile == "" {
		c.missing(at+".certificateFile", "TLS cannot be ended without a certificate")
	}
	if t.KeyFile == "" {
		c.missing(at+".keyFile", "TLS cannot be ended without a key")
	}
	if t.MinVersion != "1.2" && t.MinVersion != "1.3" {
		c.Add(CodeTLS, at+".minVersion", fmt.Sprintf("%s.minVersion is %q", at, t.MinVersion),
			"older versions are broken (RFC 8996)", `write "1.2" or "1.3", in quotes`)
	}
	if len(t.ALPN) == 0 {
		c.missing(at+".alpn", "grpc-go refuses a connection without h2 in ALPN")
	}
	known := []string{"http/1.1", "h2", "acme-tls/1"}
	for i, protocol := range t.ALPN {
		if !slices.Contains(known, protocol) {
			field := fmt.Sprintf("%s.alpn[%d]", at, i)
			c.Add(CodeTLS, field, fmt.Sprintf("%s is %q", field, protocol), "the edge speaks "+strings.Join(known, ", "), "remove it")
		}
	}
	if s := t.SessionTickets; s != nil {
		if s.KeyFile == "" {
			c.missing(at+".sessionTickets.keyFile", "processes share the secret in it")
		}
		if d := time.Duration(s.Rotate); d < shortestRotate || d > longestRotate {
			c.Add(CodeLimit, at+".sessionTickets.rotate", fmt.Sprintf("%s.sessionTickets.rotate is %v", at, d),
				"clocks differ by minutes, and no ticket may be used for more than 7 days (RFC 8446, section 4.6.1)", "write 10m to 84h, such as 12h")
		}
	}
	if ca := t.ClientCA; ca != nil && ca.File == "" {
		c.missing(at+".clientCA.file", "clients' certificates are checked against it")
	}
}

// A key encrypts for one period and decrypts for two.
const (
	shortestRotate = 10 * time.Minute
	longestRotate  = 84 * time.Hour
)

func (c *checker) limits(at string, l Limits) {
	c.positive(at+".handshake", l.Handshake, "a silent client would hold its connection")
	c.positive(at+".sniff", l.Sniff, "a silent client would hold its connection")
	c.positive(at+".header", l.Header, "a slow client would hold its connection")
	c.positive(at+".idle", l.Idle, "an unused connection would never be closed")
	if l.MaxHeaderBytes <= 0 {
		c.Add(CodeLimit, at+".maxHeaderBytes", at+".maxHeaderBytes is missing or not positive",
			"a client could fill the memory with one request", "set a number of bytes such as 65536")
	}
}

func (c *checker) routes(at string, r Routes, upstreams []string) {
	if r.GRPC == "" && len(r.Paths) == 0 {
		c.missing(at, "a listener without a route refuses everything")
	}
	if r.GRPC != "" {
		c.upstream(at+".grpc", r.GRPC, upstreams)
	}
	prefixes := map[string]bool{}
	for i, p := range r.Paths {
		path := fmt.Sprintf("%s.paths[%d]", at, i)
		if p.Upstream == "" {
			c.missing(path+".upstream", "a path goes to an upstream")
		} else {
			c.upstream(path+".upstream", p.Upstream, upstreams)
		}
		switch {
		case !strings.HasPrefix(p.Prefix, "/") || strings.ContainsAny(p.Prefix, "?# \t\r\n"):
			c.Add(CodePrefix, path+".prefix", fmt.Sprintf("%s.prefix is %q", path, p.Prefix),
				"it is compared with the path of a request, which begins with a slash", "write it like /k8s-proxy")
		case prefixes[strings.TrimRight(p.Prefix, "/")]:
			c.Add(CodeDuplicate, path+".prefix", fmt.Sprintf("%s.prefix is %q, as in a path above", path, p.Prefix),
				"only one of the two can take a request", "remove one")
		}
		prefixes[strings.TrimRight(p.Prefix, "/")] = true
		for j, token := range p.Upgrades {
			if !strings.EqualFold(token, "websocket") && !strings.EqualFold(token, "SPDY/3.1") {
				field := fmt.Sprintf("%s.upgrades[%d]", path, j)
				c.Add(CodeUpgrade, field, fmt.Sprintf("%s is %q", field, token),
					"agents and kubectl upgrade to nothing else, and others (h2c) would get past the path rules",
					"write websocket or SPDY/3.1, or remove it")
			}
		}
		if p.UpgradeOnly && len(p.Upgrades) == 0 {
			c.Add(CodeUpgrade, path+".upgradeOnly", path+".upgradeOnly without upgrades", "no request could pass",
				"name the upgrades, or remove the path")
		}
	}
}

func (c *checker) upstream(field, name string, upstreams []string) {
	if slices.Contains(upstreams, name) {
		return
	}
	fix := "add it to upstreams"
	if near := diag.Nearest(name, upstreams); near != "" {
		fix = fmt.Sprintf("write %q, or add it to upstreams", near)
	}
	c.Add(CodeUpstream, field, fmt.Sprintf("%s names the upstream %q", field, name), "there is no upstream of that name", fix)
}
