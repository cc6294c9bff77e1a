package acme

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	xacme "golang.org/x/crypto/acme"
)

// orderError is a CA's refusal of a new order itself, as opposed to what comes
// after.
type orderError struct{ err error }

func (e orderError) Error() string { return "a new order: " + e.err.Error() }
func (e orderError) Unwrap() error { return e.err }

// errNotOffered says that a name cannot be proved in the way wanted.
var errNotOffered = errors.New("the CA does not offer it")

// issue obtains a certificate for names, in place of old if that is not nil.
func (s *Source) issue(ctx context.Context, names []string, old *x509.Certificate) (*tls.Certificate, error) {
	c, err := s.client(ctx, nil)
	if err != nil {
		return nil, err
	}
	replaces := ""
	if old != nil {
		replaces = certID(old)
	}
	cert, err := s.prove(ctx, c, names, replaces)
	// The CA may not know the old certificate, or know it as replaced: that
	// field is a favour and no reason to go without a certificate.
	if replaces != "" && refused(err) {
		s.o.Log.Info("the CA refused an order that replaces a certificate; ordering without", "names", names, "error", err)
		cert, err = s.prove(ctx, c, names, "")
	}
	if refused(err) && gone(err) {
		if c, err = s.client(ctx, c); err == nil {
			cert, err = s.prove(ctx, c, names, "")
		}
	}
	if err != nil {
		s.forget()
	}
	return cert, err
}

// refused says whether the order was refused for what it says and not for when
// it came.
func refused(err error) bool {
	_, order := errors.AsType[orderError](err)
	problem, told := errors.AsType[*xacme.Error](err)
	return order && told && problem.StatusCode != 429 && problem.Header.Get("Retry-After") == "" &&
		!strings.HasSuffix(strings.ToLower(problem.ProblemType), ":ratelimited")
}

// Unproved says whether a CA was not shown that a name is ours.
func Unproved(err error) bool {
	_, failed := errors.AsType[*xacme.AuthorizationError](err)
	return failed
}

// prove tries one kind of challenge after the other; each needs an order of its
// own, because one that failed is spent.
func (s *Source) prove(ctx context.Context, c *xacme.Client, names []string, replaces string) (*tls.Certificate, error) {
	var faults []error
	for _, kind := range s.o.Challenges {
		cert, err := s.order(ctx, c, names, replaces, kind)
		if err == nil {
			return cert, nil
		}
		err = fmt.Errorf("%s: %w", kind, err)
		_, failed := errors.AsType[*xacme.AuthorizationError](err)
		if !failed && !errors.Is(err, errNotOffered) {
			return nil, err
		}
		faults = append(faults, err)
	}
	return nil, errors.Join(faults...)
}

func (s *Source) order(ctx context.Context, c *xacme.Client, names []string, replaces string, kind Challenge) (*tls.Certificate, error) {
	dir, err := c.Discover(ctx)
	if err != nil {
		return nil, err
	}
	key, ok := c.Key.(*ecdsa.PrivateKey)
	ordering := ctx
	if ok && replaces != "" {
		ordering = withReplacement(ctx, replacement{certID: replaces, orderURL: dir.OrderURL, key: key})
	}
	order, err := c.AuthorizeOrder(ordering, xacme.DomainIDs(names...))
	if err != nil {
		return nil, orderError{err}
	}
	if order.Status == xacme.StatusPending {
		if err := s.authorize(ctx, c, names[0], order.AuthzURLs, kind); err != nil {
			s.relinquish(ctx, c, order.AuthzURLs)
			return nil, err
		}
		if order, err = c.WaitOrder(ctx, order.URI); err != nil {
			return nil, err
		}
	}
	return s.finalize(ctx, c, order, names)
}

func (s *Source) authorize(ctx context.Context, c *xacme.Client, id string, urls []string, kind Challenge) error {
	for _, url := range urls {
		z, err := c.GetAuthorization(ctx, url)
		if err != nil {
			return err
		}
		if z.Status == xacme.StatusValid {
			continue
		}
		at := slices.IndexFunc(z.Challenges, func(ch *xacme.Challenge) bool { return ch.Type == string(kind) })
		if at < 0 {
			return fmt.Errorf("%s: %w", z.Identifier.Value, errNotOffered)
		}
		if err := s.answer(ctx, c, id, z, z.Challenges[at]); err != nil {
			return err
		}
	}
	return nil
}

func (s *Source) answer(ctx context.Context, c *xacme.Client, id string, z *xacme.Authorization, ch *xacme.Challenge) error {
	cleanup, err := s.provision(ctx, c, id, ch, z.Identifier.Value)
	if err != nil {
		return err
	}
	defer cleanup()
	if _, err := c.Accept(ctx, ch); err != nil {
		return err
	}
	_, err = c.WaitAuthorization(ctx, z.URI)
	return err
}

// relinquish gives up what is pending, of which CAs allow an account only so
// much.
func (s *Source) relinquish(ctx context.Context, c *xacme.Client, urls []string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookup)
	defer cancel()
	for _, url := range urls {
		if z, err := c.GetAuthorization(ctx, url); err == nil && z.Status == xacme.StatusPending {
			_ = c.RevokeAuthorization(ctx, url) // it expires by itself too
		}
	}
}

func (s *Source) finalize(ctx context.Context, c *xacme.Client, order *xacme.Order, names []string) (*tls.Certificate, error) {
	key, err := s.o.KeyType.generate() // a new one each time: an old one may have leaked
	if err != nil {
		return nil, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: names}, key)
	if err != nil {
		return nil, err
	}
	chain, _, err := c.CreateCertFromOrder(ctx, order, csr, true)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return nil, err
	}
	cert := &tls.Certificate{Certificate: chain, PrivateKey: key, Leaf: leaf}
	if public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !public.Equal(leaf.PublicKey) {
		return nil, errors.New("the CA's certificate is for another key")
	}
	// Against our own clock it is not held: that may be what is wrong.
	if !leaf.NotAfter.After(leaf.NotBefore.Add(time.Minute)) {
		return nil, fmt.Errorf("the CA's certificate is valid from %s to %s only", leaf.NotBefore, leaf.NotAfter)
	}
	return cert, has(leaf, names)
}

// has is an error that says which name a certificate does not cover.
func has(leaf *x509.Certificate, names []string) error {
	for _, n := range names {
		if err := leaf.VerifyHostname(n); err != nil {
			return err
		}
	}
	return nil
}

func (t KeyType) generate() (crypto.Signer, error) {
	switch t {
	case ECDSA384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case RSA2048:
		return rsa.GenerateKey(rand.Reader, 2048)
	case RSA4096:
		return rsa.GenerateKey(rand.Reader, 4096)
	case ECDSA256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		return nil, fmt.Errorf("unknown key type %q", t)
	}
}
