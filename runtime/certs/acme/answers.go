package acme

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	xacme "golang.org/x/crypto/acme"

	"kasgen/runtime/certs"
	"kasgen/runtime/certs/atomicfile"
)

// wellKnown is where a CA asks on port 80 (RFC 8555, section 8.3).
const wellKnown = "/.well-known/acme-challenge/"

// lookup bounds how long a CA's question may wait for the cache.
const lookup = 10 * time.Second

// answers to challenges under way. They are in the cache too, because a balancer
// may send the CA to another replica than the one that ordered.
type answers struct {
	mu   sync.RWMutex
	http map[string]string           // by token
	alpn map[string]*tls.Certificate // by name
}

// provision makes an answer ready, for the certificate of that ID; cleanup takes
// it away.
func (s *Source) provision(ctx context.Context, c *xacme.Client, id string, ch *xacme.Challenge, name string) (cleanup func(), err error) {
	switch Challenge(ch.Type) {
	case TLSALPN01:
		return s.provisionALPN(ctx, c, id, ch, name)
	case HTTP01:
		return s.provisionHTTP(ctx, c, id, ch)
	default:
		return nil, fmt.Errorf("the challenge %s is not answered", ch.Type)
	}
}

func (s *Source) provisionALPN(ctx context.Context, c *xacme.Client, id string, ch *xacme.Challenge, name string) (func(), error) {
	cert, err := c.TLSALPN01ChallengeCert(ch.Token, name)
	if err != nil {
		return nil, err
	}
	crt, key, err := certs.Encode(&cert)
	if err != nil {
		return nil, err
	}
	entry := s.alpnKey(name)
	if err := s.lay(ctx, id, entry, append(crt, key...)); err != nil {
		return nil, err
	}
	s.answers.set(func(a *answers) { a.alpn[name] = &cert })
	return func() {
		s.answers.set(func(a *answers) { delete(a.alpn, name) })
		s.lift(ctx, id, entry)
	}, nil
}

func (s *Source) provisionHTTP(ctx context.Context, c *xacme.Client, id string, ch *xacme.Challenge) (func(), error) {
	if !token(ch.Token) { // it becomes the name of a file
		return nil, fmt.Errorf("the CA's token %q is not base64url", ch.Token)
	}
	response, err := c.HTTP01ChallengeResponse(ch.Token)
	if err != nil {
		return nil, err
	}
	entry, file := s.httpKey(ch.Token), ""
	if err := s.lay(ctx, id, entry, []byte(response)); err != nil {
		return nil, err
	}
	if s.o.Webroot != "" {
		file = s.webFile(ch.Token)
		// Another server, perhaps of another user, reads it; it is no secret.
		if err := errors.Join(mkdirPublic(filepath.Dir(file)), atomicfile.Write(file, []byte(response), 0o644)); err != nil {
			return nil, err
		}
	}
	s.answers.set(func(a *answers) { a.http[ch.Token] = response })
	return func() {
		s.answers.set(func(a *answers) { delete(a.http, ch.Token) })
		s.lift(ctx, id, entry)
		if file != "" {
			if err := os.Remove(file); err != nil {
				s.o.Log.Warn("an answer to a challenge is left behind", "file", file, "error", err)
			}
		}
	}, nil
}

// mkdirPublic makes a directory, with those above it, that everybody may enter
// whatever the umask says. Those that there are stay as they are.
func mkdirPublic(dir string) error {
	err := os.Mkdir(dir, 0o755)
	if errors.Is(err, fs.ErrNotExist) {
		if err := mkdirPublic(filepath.Dir(dir)); err != nil {
			return err
		}
		err = os.Mkdir(dir, 0o755)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil // and if it is no directory, writing into it says so
	}
	if err != nil {
		return err
	}
	return errors.Join(os.Chmod(dir, 0o755), atomicfile.Inherit(dir))
}

func (a *answers) set(f func(*answers)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.http == nil {
		a.http, a.alpn = map[string]string{}, map[string]*tls.Certificate{}
	}
	f(a)
}

func (s *Source) alpnKey(name string) string  { return s.prefix + name + "+alpn" }
func (s *Source) httpKey(token string) string { return s.prefix + token + "+token" }

// webFile is where the other server of port 80 looks for a token's answer.
func (s *Source) webFile(t string) string {
	return filepath.Join(s.o.Webroot, filepath.FromSlash(wellKnown), t)
}

// token says whether t is in base64url, as RFC 8555 has it.
func token(t string) bool { return regexp.MustCompile(`^[A-Za-z0-9_-]{1,200}$`).MatchString(t) }

// ours says whether a name, or a Host header, is of one of the certificates.
func (s *Source) ours(name string) bool {
	if host, _, err := net.SplitHostPort(name); err == nil {
		name = host // validation is on port 80, but forwarding may keep another
	}
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	return slices.ContainsFunc(s.certs, func(c *certificate) bool { return slices.Contains(c.names, name) })
}

// handshake answers tls-alpn-01: a client that offers acme-tls/1 and nothing
// else is a CA, and gets a configuration that serves for nothing else.
func (a *answers) handshake(s *Source, hello *tls.ClientHelloInfo) (*tls.Config, error) {
	if len(hello.SupportedProtos) != 1 || hello.SupportedProtos[0] != xacme.ALPNProto {
		return nil, nil
	}
	name := strings.ToLower(strings.TrimSuffix(hello.ServerName, "."))
	if !s.ours(name) {
		return nil, fmt.Errorf("no certificate for %q is being obtained", name)
	}
	a.mu.RLock()
	cert := a.alpn[name]
	a.mu.RUnlock()
	if cert == nil {
		ctx, cancel := context.WithTimeout(hello.Context(), lookup)
		defer cancel()
		data, err := s.o.Cache.Get(ctx, s.alpnKey(name))
		if err != nil {
			return nil, fmt.Errorf("no certificate for %q is being obtained: %w", name, err)
		}
		if cert, err = certs.Parse(data, data); err != nil {
			return nil, err
		}
	}
	return &tls.Config{Certificates: []tls.Certificate{*cert}, NextProtos: []string{xacme.ALPNProto},
		MinVersion: tls.VersionTLS12, SessionTicketsDisabled: true}, nil
}

// HTTPHandler answers http-01 on port 80 and leaves everything else to next.
func (s *Source) HTTPHandler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t, ok := strings.CutPrefix(r.URL.Path, wellKnown)
		if !ok {
			next.ServeHTTP(w, r)
			return
		}
		response, ok := s.response(r.Context(), t, r.Host)
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write([]byte(response)) // a CA that has gone asks again
	})
}

func (s *Source) response(ctx context.Context, t, host string) (string, bool) {
	s.answers.mu.RLock()
	response, ok := s.answers.http[t]
	s.answers.mu.RUnlock()
	if ok || !token(t) || !s.ours(host) {
		return response, ok
	}
	ctx, cancel := context.WithTimeout(ctx, lookup)
	defer cancel()
	data, err := s.o.Cache.Get(ctx, s.httpKey(t))
	return string(data), err == nil
}
