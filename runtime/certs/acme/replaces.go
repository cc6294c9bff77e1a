package acme

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// replacement is what a new order is to say of the certificate it replaces (RFC
// 9773, section 5). CAs count such an order towards no rate limit.
type replacement struct {
	certID   string
	orderURL string
	key      *ecdsa.PrivateKey // of the account
}

type replacementKey struct{}

// replacing adds the field to new orders, which x/crypto/acme has no option
// for, and signs them again with the account's key.
type replacing struct{ base http.RoundTripper }

func (t replacing) RoundTrip(req *http.Request) (*http.Response, error) {
	r, ok := req.Context().Value(replacementKey{}).(replacement)
	if !ok || req.Method != http.MethodPost || req.URL.String() != r.orderURL {
		return t.base.RoundTrip(req)
	}
	body, err := io.ReadAll(req.Body)
	_ = req.Body.Close() // it is a reader of bytes
	if err == nil {
		body, err = r.sign(body)
	}
	if err != nil {
		return nil, fmt.Errorf("naming the replaced certificate: %w", err)
	}
	signed := req.Clone(req.Context())
	signed.Body, signed.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	signed.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	return t.base.RoundTrip(signed)
}

func withReplacement(ctx context.Context, r replacement) context.Context {
	return context.WithValue(ctx, replacementKey{}, r)
}

// sign adds the field to the payload of a flattened JWS (RFC 7515), whose
// protected header, with its nonce, stays.
func (r replacement) sign(body []byte) ([]byte, error) {
	var jws struct {
		Protected string `json:"protected"`
		Payload   string `json:"payload"`
		Signature string `json:"signature"`
	}
	if err := json.Unmarshal(body, &jws); err != nil {
		return nil, err
	}
	payload, err := base64.RawURLEncoding.DecodeString(jws.Payload)
	if err != nil {
		return nil, err
	}
	var order map[string]json.RawMessage
	if err := json.Unmarshal(payload, &order); err != nil {
		return nil, err
	}
	if order["replaces"], err = json.Marshal(r.certID); err != nil {
		return nil, err
	}
	if payload, err = json.Marshal(order); err != nil {
		return nil, err
	}
	jws.Payload = base64.RawURLEncoding.EncodeToString(payload)
	sum := sha256.Sum256([]byte(jws.Protected + "." + jws.Payload))
	x, y, err := ecdsa.Sign(rand.Reader, r.key, sum[:])
	if err != nil {
		return nil, err
	}
	signature := make([]byte, 64) // ES256: both numbers, 32 bytes each
	x.FillBytes(signature[:32])
	y.FillBytes(signature[32:])
	jws.Signature = base64.RawURLEncoding.EncodeToString(signature)
	return json.Marshal(jws)
}
