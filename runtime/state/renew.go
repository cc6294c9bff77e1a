package state

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"slices"
	"strings"
	"time"
)

// renewBefore is what a certificate of the development CA has left when it is
// issued anew: more than the 20 days with which others are found fault with.
const renewBefore = 30 * 24 * time.Hour

// outdated says whether what lies at a certificate's path is one of a
// development CA that does not do any more: its names or its CA have changed,
// its time is over soon, or its key is another's. What somebody else has put
// there is never outdated.
func (a *authority) outdated(i Item) bool {
	leaf := leafAt(i.Path)
	if leaf == nil || !strings.HasPrefix(leaf.Issuer.CommonName, caName) {
		return false
	}
	_, err := tls.LoadX509KeyPair(i.Path, KeyPath(i.Path))
	return err != nil || leaf.CheckSignatureFrom(a.cert) != nil || time.Until(leaf.NotAfter) < renewBefore || !slices.Equal(names(leaf), sorted(i.Names))
}

func leafAt(path string) *x509.Certificate {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil
	}
	return leaf
}

// names are those of a certificate, addresses among them, in order.
func names(leaf *x509.Certificate) []string {
	all := slices.Clone(leaf.DNSNames)
	for _, ip := range leaf.IPAddresses {
		all = append(all, ip.String())
	}
	return sorted(all)
}

func sorted(all []string) []string {
	all = slices.Clone(all)
	slices.Sort(all)
	return slices.Compact(all)
}
