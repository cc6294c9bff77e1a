package acme

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
	"time"
)

// How often renewal information is asked for: as the CA says, within bounds,
// and by RFC 9773's advice where it says nothing.
const (
	ariUsual    = 6 * time.Hour
	ariShortest = time.Minute
	ariLongest  = 24 * time.Hour
	ariSize     = 64 << 10
)

// renewalInfo is when a CA would like a certificate to be renewed.
type renewalInfo struct {
	certID     string
	Start, End time.Time
	Why        string // a page for people
	next       time.Time
}

func (r renewalInfo) valid() bool { return r.End.After(r.Start) }

// certID names a certificate to its CA (RFC 9773, section 4.1); empty if it
// has no authority key identifier.
func certID(leaf *x509.Certificate) string {
	if len(leaf.AuthorityKeyId) == 0 {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(leaf.AuthorityKeyId) + "." + base64.RawURLEncoding.EncodeToString(serialDER(leaf.SerialNumber))
}

// serialDER is the content of a positive INTEGER in DER.
func serialDER(n *big.Int) []byte {
	b := n.Bytes()
	if len(b) == 0 || b[0]&0x80 != 0 {
		b = append([]byte{0}, b...)
	}
	return b
}

// suggested asks the CA, if the last answer is of another certificate or old.
// An answer that makes no sense counts as none, and the last good one stays.
func (s *Source) suggested(ctx context.Context, leaf *x509.Certificate, last renewalInfo) (renewalInfo, error) {
	id, now := certID(leaf), s.o.Now()
	if last.certID != id {
		last = renewalInfo{certID: id}
	}
	if id == "" || last.next.After(now) && last.next.Before(now.Add(ariLongest+time.Hour)) {
		return last, nil
	}
	last.next = now.Add(ariUsual)
	base, err := s.renewalInfoURL(ctx)
	if err != nil || base == "" {
		return last, err
	}
	var answer struct {
		SuggestedWindow struct{ Start, End time.Time }
		ExplanationURL  string
	}
	header, err := s.getJSON(ctx, strings.TrimSuffix(base, "/")+"/"+id, &answer)
	if wait, ok := retryAfter(header, now); ok {
		last.next = now.Add(min(max(wait, ariShortest), ariLongest))
	}
	if err != nil {
		return last, fmt.Errorf("renewal information: %w", err)
	}
	told := renewalInfo{certID: id, Start: answer.SuggestedWindow.Start, End: answer.SuggestedWindow.End, Why: answer.ExplanationURL, next: last.next}
	if !told.valid() {
		return last, errors.New("renewal information: the suggested window ends before it starts")
	}
	return told, nil
}

// renewalInfoURL is in the directory, in a field that x/crypto/acme does not
// read. Empty: the CA has none.
func (s *Source) renewalInfoURL(ctx context.Context) (string, error) {
	var dir struct{ RenewalInfo string }
	_, err := s.getJSON(ctx, s.o.Directory, &dir)
	return dir.RenewalInfo, err
}

func (s *Source) getJSON(ctx context.Context, url string, to any) (http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := s.o.Client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // it has been read
	body, err := io.ReadAll(io.LimitReader(resp.Body, ariSize))
	if err != nil {
		return resp.Header, err
	}
	if resp.StatusCode != http.StatusOK {
		return resp.Header, fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return resp.Header, json.Unmarshal(body, to)
}
