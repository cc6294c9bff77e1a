package runtime

import "slices"

// provisions says whether the role that was read obtains certificates: it must
// where the edge in it ends TLS with them, because a CA asks there.
func (b *Bundle) provisions() bool {
	if b.certs == nil {
		return false
	}
	return b.role == All || b.role == Certs || b.edge != nil && slices.ContainsFunc(b.edge.Files(), b.Obtained)
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
