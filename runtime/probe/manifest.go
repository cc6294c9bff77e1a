package probe

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"

	"kasgen/internal/lockfile"
)

// Address is where clients of the bundle find kas, by its manifest.
func (b *Bundle) Address() (*url.URL, error) {
	if b.lock == nil || b.lock.Names == nil {
		return nil, fmt.Errorf("the bundle has no %s that says its names", lockfile.Name)
	}
	return clientURL("https", b.lock.Names.KAS), nil
}

// complete fills in what the manifest knows and nobody has said: the name for
// gRPC, the path of the Kubernetes API proxy, and the development CA. A name
// that the manifest does not have is somebody else's, and nothing is filled in.
func (b *Bundle) complete(o *Options) error {
	if b.lock == nil || b.lock.Names == nil || b.lock.Names.KAS.Name != o.KAS.Hostname() {
		return nil
	}
	names := b.lock.Names
	if o.GRPC == nil && names.GRPC != nil {
		o.GRPC = clientURL("grpcs", *names.GRPC)
	}
	if o.ProxyPath == "" {
		o.ProxyPath = names.KAS.PathPrefix
	}
	if o.Roots != nil {
		return nil
	}
	var err error
	o.Development, err = b.development()
	if o.Development == nil {
		return err
	}
	if o.Roots, err = x509.SystemCertPool(); err != nil {
		return fmt.Errorf("the system's CAs: %w", err)
	}
	o.Roots.AddCert(o.Development)
	return nil
}

// development is the certificate of the bundle's development CA, nil where it
// has none or has not made it here.
func (b *Bundle) development() (*x509.Certificate, error) {
	for _, d := range b.lock.Development {
		if d.Kind != lockfile.CA {
			continue
		}
		data, err := os.ReadFile(d.Path)
		if err != nil {
			return nil, nil //nolint:nilerr,nilnil // it is elsewhere, and --ca-file can say where
		}
		block, _ := pem.Decode(data)
		if block == nil {
			return nil, fmt.Errorf("%s holds no certificate in PEM", d.Path)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("the development CA %s", d.Path), err)
		}
		return c, nil
	}
	return nil, nil //nolint:nilnil // its certificates are of others
}

// clientURL is how clients write a host. Behind a balancer of others its
// listeners' ports are between the two.
func clientURL(scheme string, h lockfile.Host) *url.URL {
	u := &url.URL{Scheme: scheme, Host: h.Name}
	if h.Front != nil {
		return u
	}
	if _, port, err := net.SplitHostPort(h.Listeners[0]); err == nil && port != "443" {
		u.Host = net.JoinHostPort(h.Name, port)
	}
	return u
}

// judge compares a check with what the manifest promises: a protocol that the
// topology means to refuse is refused rightly, and one that it carries is not.
func (b *Bundle) judge(c *Check) {
	if c.Code != codeSPDY || b.lock == nil || b.lock.Carries == nil {
		return
	}
	switch b.lock.Carries.Kubectl.SPDY {
	case lockfile.Refused:
		took := c.MS
		*c = passed("SPDY/3.1 is refused with advice, as topology %s means to; kubectl 1.31 and later speak WebSocket", b.lock.Topology)
		c.MS = took
	case lockfile.Yes:
		c.Result = Fail
		c.Why = "kubectl before 1.31, and older libraries, speak SPDY, which topology " + b.lock.Topology + " carries and this front refuses"
	case lockfile.No:
	}
}
