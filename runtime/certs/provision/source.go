package provision

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"kasgen/internal/certsconf"
	"kasgen/runtime/certs"
	"kasgen/runtime/certs/acme"
	"kasgen/runtime/certs/kubesecret"
	"kasgen/runtime/host"
)

// caLimit bounds one request to the CA.
const caLimit = time.Minute

// obtain makes the source that asks the CA; it asks nothing yet.
func (c *Config) obtain(ctx context.Context, h *host.Host, client *http.Client) (*acme.Source, error) {
	a := c.file.ACME
	cache, err := openCache(ctx, h, a.Cache)
	if err != nil {
		return nil, fmt.Errorf("the cache: %w", err)
	}
	o := acme.Options{Log: h.Log, Directory: a.Directory, KeyType: acme.KeyType(a.KeyType), Challenges: []acme.Challenge{acme.Challenge(a.Challenge)},
		Webroot: h.At(a.Webroot), Cache: cache, Client: client, Check: certs.Interval}
	if a.Email != "" {
		o.Contact = []string{a.Email}
	}
	if e := a.ExternalAccount; e != nil {
		if o.External, err = externalAccount(h, *e); err != nil {
			return nil, err
		}
	}
	for _, cert := range c.file.Certificates {
		o.Certificates = append(o.Certificates, cert.Names)
	}
	return acme.New(ctx, o)
}

// caClient speaks to the CA by the host's ways alone.
func caClient(h *host.Host, caFile string) (*http.Client, error) {
	roots := h.Roots
	if caFile != "" {
		data, err := h.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("the CA's own CA: %w", err)
		}
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(data) {
			return nil, fmt.Errorf("the CA's own CA %s: no certificate in it", caFile)
		}
	}
	return &http.Client{Timeout: caLimit, Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: h.Dial, ForceAttemptHTTP2: true, IdleConnTimeout: caLimit,
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
	}}, nil
}

// openCache opens where replicas share what they obtain.
func openCache(ctx context.Context, h *host.Host, c certsconf.Cache) (cache acme.Cache, err error) {
	if c.Secret != nil {
		cache, err = openSecret(ctx, h, *c.Secret)
	} else {
		cache, err = acme.OpenDirectory(h.At(c.Directory))
	}
	if err != nil || c.KeyFile == "" {
		return cache, err
	}
	key, err := h.ReadFile(c.KeyFile)
	if err != nil {
		return nil, err
	}
	return acme.Seal(cache, key)
}

// openSecret speaks to the API server that the file names, or that the pod is
// of, by the host's ways.
func openSecret(ctx context.Context, h *host.Host, c certsconf.Secret) (acme.Cache, error) {
	config, namespace, err := kubesecret.Connect(h.At(c.Kubeconfig))
	if err != nil {
		return nil, fmt.Errorf("the API server of the Secret %s: %w", c.Name, err)
	}
	config.Dial = h.Dial
	if c.Namespace != "" {
		namespace = c.Namespace
	}
	return kubesecret.Open(ctx, config, kubesecret.Options{Log: h.Log, Namespace: namespace, Secret: c.Name})
}

// externalAccount reads a MAC key as CAs print it: base64url, with padding or
// without.
func externalAccount(h *host.Host, e certsconf.ExternalAccount) (*acme.ExternalAccount, error) {
	text, err := h.ReadFile(e.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("the external account's key: %w", err)
	}
	key, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(string(text)), "="))
	if err != nil || len(key) == 0 {
		return nil, fmt.Errorf("the external account's key %s is not base64url", e.KeyFile)
	}
	return &acme.ExternalAccount{KeyID: e.KeyID, Key: key}, nil
}

// source serves what lay on disk until something is obtained: after a lost
// cache, or when files of another origin are to be replaced.
type source struct {
	*acme.Source
	before *certs.Set
}

// GetCertificate is certs.Source's.
func (s source) GetCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c, err := s.Source.GetCertificate(hello)
	if errors.Is(err, certs.ErrNone) {
		return s.before.GetCertificate(hello)
	}
	return c, err
}
