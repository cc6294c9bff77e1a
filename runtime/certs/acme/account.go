package acme

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	xacme "golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

const accountName = "account"

// account is the one that all replicas share.
type account struct {
	mu     sync.Mutex
	client *xacme.Client // nil: not registered by this process
}

// client speaks for the account, which is made if there is none. An account
// that the CA has rejected, by revoking or by forgetting it, is replaced by a
// new one, unless another replica was quicker.
func (s *Source) client(ctx context.Context, rejected *xacme.Client) (*xacme.Client, error) {
	s.account.mu.Lock()
	defer s.account.mu.Unlock()
	if c := s.account.client; c != nil && c != rejected {
		return c, nil
	}
	locked, unlock, err := s.o.Cache.Lock(ctx, s.prefix+accountName)
	if err != nil {
		return nil, fmt.Errorf("the account's lock: %w", err)
	}
	defer unlock()
	c, err := s.register(locked, rejected)
	switch {
	case err == nil:
		s.account.client = c
	case errors.Is(context.Cause(locked), ErrLockLost):
		err = fmt.Errorf("the account: %w", ErrLockLost)
	}
	return c, err
}

// forget makes the next attempt read directory and account again.
func (s *Source) forget() {
	s.account.mu.Lock()
	defer s.account.mu.Unlock()
	s.account.client = nil
}

func (s *Source) register(ctx context.Context, rejected *xacme.Client) (*xacme.Client, error) {
	key, err := s.accountKey(ctx)
	if err != nil {
		return nil, err
	}
	known := key != nil
	if known && (rejected == nil || !key.Equal(rejected.Key)) {
		c, err := s.registerKey(ctx, key)
		if !gone(err) {
			return c, err
		}
		s.o.Log.Warn("the CA does not take the account any more; a new one is made", "directory", s.o.Directory, "error", err)
	}
	if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	if !known {
		// Before the CA knows it: after a crash in between it is used again.
		if err := s.putAccountKey(ctx, key); err != nil {
			return nil, err
		}
		return s.registerKey(ctx, key)
	}
	c, err := s.registerKey(ctx, key)
	if err != nil {
		return nil, err // and the old key stays, in case that the fault is the CA's
	}
	return c, s.putAccountKey(ctx, key)
}

func (s *Source) registerKey(ctx context.Context, key *ecdsa.PrivateKey) (*xacme.Client, error) {
	client := *s.o.Client
	if client.Transport == nil {
		client.Transport = http.DefaultTransport
	}
	client.Transport = replacing{client.Transport}
	c := &xacme.Client{Key: key, DirectoryURL: s.o.Directory, HTTPClient: &client, RetryBackoff: patience, UserAgent: "kasgen"}
	a := &xacme.Account{}
	for _, mail := range s.o.Contact {
		a.Contact = append(a.Contact, "mailto:"+mail)
	}
	if e := s.o.External; e != nil {
		a.ExternalAccountBinding = &xacme.ExternalAccountBinding{KID: e.KeyID, Key: e.Key}
	}
	// Who names a CA in its configuration has agreed to its terms there.
	if _, err := c.Register(ctx, a, xacme.AcceptTOS); err != nil && !errors.Is(err, xacme.ErrAccountAlreadyExists) {
		return nil, fmt.Errorf("the account: %w", err)
	}
	return c, nil
}

// gone says whether the CA does not know or not want the account.
func gone(err error) bool {
	problem, ok := errors.AsType[*xacme.Error](err)
	if !ok {
		return false
	}
	t := strings.ToLower(problem.ProblemType)
	return strings.HasSuffix(t, ":accountdoesnotexist") || strings.HasSuffix(t, ":unauthorized")
}

// accountKey is the one in the cache, nil if there is none that can be read.
func (s *Source) accountKey(ctx context.Context) (*ecdsa.PrivateKey, error) {
	data, err := s.o.Cache.Get(ctx, s.prefix+accountName)
	cut := errors.Is(err, errCutShort)
	if errors.Is(err, autocert.ErrCacheMiss) && !cut {
		return nil, nil
	}
	if err != nil && !cut {
		return nil, fmt.Errorf("the account's key: %w", err)
	}
	block, _ := pem.Decode(data)
	if block != nil {
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if ec, ok := key.(*ecdsa.PrivateKey); err == nil && ok && ec.Curve == elliptic.P256() {
			return ec, nil
		}
	}
	s.o.Log.Warn("the account's key in the cache cannot be read; a new account is made", "directory", s.o.Directory)
	return nil, nil
}

func (s *Source) putAccountKey(ctx context.Context, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return s.o.Cache.Put(ctx, s.prefix+accountName, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}
