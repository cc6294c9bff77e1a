package runtime

import (
	"fmt"
	"slices"
	"strings"

	"kasgen/internal/certsconf"
	"kasgen/internal/diag"
)

// strangers are names that certificates are to be obtained for and that the
// bundle does not serve: a CA would count the failures against the account.
func (b *Bundle) strangers() diag.Findings {
	if b.certs == nil || b.Lock == nil || b.Lock.Names == nil {
		return nil
	}
	ours := b.names()
	var fs diag.Findings
	for field, name := range b.certs.Names() {
		if !slices.Contains(ours, name) {
			path := b.at.Path(certsFile)
			fs.Add(diag.Finding{Code: certsconf.CodeStranger, Pos: certsconf.Pos(path, b.data[certsFile], field), Field: field,
				What: fmt.Sprintf("%s is %q, which the topology does not have", field, name), Why: "no listener of the bundle serves it, and nobody would answer a CA for it",
				Fix: "remove it; the topology's names are " + strings.Join(ours, " and ")})
		}
	}
	return fs
}

// provisions says whether the role that was read obtains certificates: it must
// where the edge in it ends TLS with them, because a CA asks there.
func (b *Bundle) provisions() bool {
	if b.certs == nil {
		return false
	}
	return b.role == All || b.role == Certs || b.edgeObtains()
}

// edgeObtains says whether the edge ends TLS with what is obtained.
func (b *Bundle) edgeObtains() bool {
	return b.edge != nil && slices.ContainsFunc(b.edge.Files(), b.Obtained)
}

// Obtained says whether a file is written with what is obtained from a CA.
func (b *Bundle) Obtained(path string) bool {
	return b.certs != nil && slices.Contains(b.certs.Written(), path)
}

// CA is the URL of the CA that certificates are obtained from; empty: none are.
func (b *Bundle) CA() string {
	if b.certs == nil {
		return ""
	}
	return b.certs.Directory()
}

// ExternalAccount is what the CA knows us by; empty: nothing.
func (b *Bundle) ExternalAccount() (keyID, keyFile string) {
	if b.certs == nil {
		return "", ""
	}
	return b.certs.ExternalAccount()
}

// Cleartext is the address of port 80, where a CA asks, as nginx.conf has it.
func (b *Bundle) Cleartext() (string, bool) {
	if b.web == nil {
		return "", false
	}
	return b.web.Cleartext()
}
