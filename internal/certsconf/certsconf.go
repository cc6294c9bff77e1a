// Package certsconf owns certs.yaml: the types, the strict reader and the
// writer. The file says which certificates are obtained from a CA, how, and
// where they are written for the programs that end TLS. The package knows
// nothing of what renders the file or of what obtains certificates. Its law:
// what it writes it reads back to the same value, and a key it does not know is
// a finding with a place.
package certsconf

import (
	"errors"
	"time"
)

// File is a whole certs.yaml.
type File struct {
	APIVersion    string        `json:"apiVersion"` // APIVersion
	Kind          string        `json:"kind"`       // Kind
	Source        Source        `json:"source"`
	ACME          *ACME         `json:"acme,omitempty"`
	Certificates  []Certificate `json:"certificates"`
	Observability Observability `json:"observability"`
	// Drain is how long streams live on after SIGTERM where nginx or HAProxy
	// ends TLS with these certificates: in their own files the limit of a stop is
	// that of a reload too, which each renewal is, and so they have none.
	Drain Duration `json:"drain"`
}

// What File.APIVersion and File.Kind must say.
const (
	APIVersion = "kasgen/v1"
	Kind       = "Certificates"
)

// Source is who provides certificates. Those that lie in files by somebody
// else's doing need no certs.yaml: who ends TLS reads them.
type Source string

// The sources.
const (
	SourceACME Source = "acme"
)

// ACME is how certificates are obtained (RFC 8555).
type ACME struct {
	Directory       string           `json:"directory"`                 // https URL of the CA
	CAFile          string           `json:"caFile,omitempty"`          // PEM, of the CA's own listener; empty: the system's roots
	Email           string           `json:"email,omitempty"`           // that the CA may write to
	ExternalAccount *ExternalAccount `json:"externalAccount,omitempty"` // nil: none
	KeyType         KeyType          `json:"keyType"`
	Challenge       Challenge        `json:"challenge"`
	Webroot         string           `json:"webroot,omitempty"` // of http-01: a directory whose .well-known/acme-challenge a server on port 80 answers from; empty: it asks Observability.Listen
	Cache           Cache            `json:"cache"`
}

// ExternalAccount binds the ACME account to one that the CA knows already
// (RFC 8555, section 7.3.4).
type ExternalAccount struct {
	KeyID   string `json:"keyID"`
	KeyFile string `json:"keyFile"` // holds the MAC key in base64url, as CAs give it
}

// Cache is what replicas share: account, certificates with their keys, answers
// to challenges, and when to try again.
type Cache struct {
	Directory string  `json:"directory,omitempty"`
	Secret    *Secret `json:"secret,omitempty"`  // in place of a directory
	KeyFile   string  `json:"keyFile,omitempty"` // what is kept is encrypted with it; empty: it is kept in clear
}

// Secret is a Secret of Kubernetes.
type Secret struct {
	Name       string `json:"name"`                 // it is made if it is not there
	Namespace  string `json:"namespace,omitempty"`  // empty: the pod's own, or the kubeconfig's
	Kubeconfig string `json:"kubeconfig,omitempty"` // empty: as a pod, by its service account
}

// KeyType is the kind of a certificate's key.
type KeyType string

// The kinds of keys.
const (
	ECDSA256 KeyType = "ecdsa256"
	ECDSA384 KeyType = "ecdsa384"
	RSA2048  KeyType = "rsa2048"
	RSA4096  KeyType = "rsa4096"
)

// KeyTypes lists every kind of key.
func KeyTypes() []KeyType { return []KeyType{ECDSA256, ECDSA384, RSA2048, RSA4096} }

// Challenge is how the CA is shown that a name is ours.
type Challenge string

// The challenges.
const (
	TLSALPN01 Challenge = "tls-alpn-01" // RFC 8737, where TLS ends in the process that runs this file
	HTTP01    Challenge = "http-01"     // RFC 8555, on port 80
)

// Challenges lists every challenge.
func Challenges() []Challenge { return []Challenge{TLSALPN01, HTTP01} }

// Certificate is one certificate and where it is written. Who names
// CertificateFile in its own file ends TLS with it.
type Certificate struct {
	Names           []string `json:"names"`
	CertificateFile string   `json:"certificateFile"`        // PEM, leaf first
	KeyFile         string   `json:"keyFile"`                // PEM
	CombinedFile    string   `json:"combinedFile,omitempty"` // both in one, for HAProxy; empty: not written
}

// Observability is where liveness, readiness and metrics are served, and
// answers to http-01.
type Observability struct {
	Listen string `json:"listen"` // host:port
}

// Duration is written as Go writes it: "10s", "1h30m".
type Duration time.Duration

// MarshalText writes d as time.Duration does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what time.ParseDuration reads, and refuses what is negative.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err == nil && v < 0 {
		err = errors.New("a duration cannot be negative")
	}
	*d = Duration(v)
	return err
}
