package certs

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"slices"
)

// Served is a pair that a listener serves.
type Served struct {
	Pair
	// Names are what clients of the listener ask for; the certificate has to be
	// for all of them. None: the listener's file does not say.
	Names []string
	// AnyOf are names of which it has to be for one at least, where Names says
	// nothing.
	AnyOf []string
}

// Add gathers pairs: what several listeners serve is one, for the names of all.
func Add(all []Served, s Served) []Served {
	i := slices.IndexFunc(all, func(o Served) bool { return o.Pair == s.Pair })
	if i < 0 {
		return append(all, Served{Pair: s.Pair, Names: slices.Clone(s.Names), AnyOf: s.AnyOf})
	}
	for _, name := range s.Names {
		if !slices.Contains(all[i].Names, name) {
			all[i].Names = append(all[i].Names, name)
		}
	}
	return all
}

// Inspect looks at the pair as it lies on disk: whether it can be read, belongs
// together and is for the names that it is served for. Of a pair that does not
// work there is no expiry, and an error.
func (s Served) Inspect(readFile func(path string) ([]byte, error)) Status {
	ought := s.Names
	if len(ought) == 0 {
		ought = s.AnyOf
	}
	st := Status{ID: s.Certificate, Source: "files", Names: append([]string{}, ought...)}
	leaf, err := s.leaf(readFile)
	if leaf != nil {
		st.Names = append([]string{}, Names(leaf)...)
	}
	if err != nil {
		st.Error = err.Error()
		return st
	}
	st.Describe(leaf)
	if IsPlaceholder(leaf) {
		return st
	}
	st.Renewed = leaf.NotBefore
	st.Foreign = s.foreign(leaf)
	return st
}

// foreign are the names that clients ask for and that the certificate is not
// for. Of a placeholder's names only the CA decides.
func (s Served) foreign(leaf *x509.Certificate) []string {
	if IsPlaceholder(leaf) {
		return nil
	}
	if len(s.Names) == 0 && !slices.ContainsFunc(s.AnyOf, func(name string) bool { return isFor(leaf, name) }) {
		return slices.Clone(s.AnyOf)
	}
	return slices.DeleteFunc(slices.Clone(s.Names), func(name string) bool { return isFor(leaf, name) })
}

func isFor(leaf *x509.Certificate, name string) bool {
	if net.ParseIP(name) != nil {
		name = "[" + name + "]"
	}
	return leaf.VerifyHostname(name) == nil
}

// leaf is the certificate in the files, and what is wrong with them; both, where
// the certificate alone is as it should be.
func (s Served) leaf(readFile func(path string) ([]byte, error)) (*x509.Certificate, error) {
	cert, err := readFile(s.Certificate)
	if err != nil {
		return nil, err
	}
	leaf, err := firstIn(cert)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the certificate in %s cannot be read: %w", s.Certificate, err)
	case leaf == nil:
		return nil, fmt.Errorf("%s holds no certificate", s.Certificate)
	}
	key := cert
	if s.Key != s.Certificate {
		if key, err = readFile(s.Key); err != nil {
			return leaf, err
		}
	}
	if _, err := Parse(cert, key); err != nil {
		return leaf, fmt.Errorf("certificate %s with key %s: %w", s.Certificate, s.Key, err)
	}
	return leaf, nil
}

// firstIn is the first certificate in PEM, nil if there is none.
func firstIn(data []byte) (*x509.Certificate, error) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			return x509.ParseCertificate(block.Bytes)
		}
	}
	return nil, nil
}
