package runtime

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kasgen/runtime/certs"
)

// lasting writes a certificate for names, with blanks between them, that signs
// itself and is valid for so many days.
func (w *world) lasting(path, names string, days int) {
	w.t.Helper()
	of := strings.Fields(names)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: of[0]}, DNSNames: of,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Duration(days)*24*time.Hour + time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		w.t.Fatal(err)
	}
	w.pair(path, &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key})
}

// pair writes a certificate in every form.
func (w *world) pair(path string, c *tls.Certificate) {
	w.t.Helper()
	cert, key, err := certs.Encode(c)
	path = filepath.Join(w.state, path)
	if err := errors.Join(err, os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path+".crt", cert, 0o600),
		os.WriteFile(path+".key", key, 0o600), os.WriteFile(path+".pem", append(cert, key...), 0o600)); err != nil {
		w.t.Fatal(err)
	}
}

// TestTellCertificates: a process that runs tells by itself what `certs status`
// would, of every role's certificates.
func TestTellCertificates(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) {
		w.lasting("tls/kas", "kas.example.com", 6)
		w.lasting("tls/web", "web.example.com kas.example.com", 19)
		none, err := certs.Placeholder([]string{"none.example.com"}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		w.pair("tls/none", none)
		w.lasting("tls/well", "well.example.com kas.example.com", 90)
		w.edit("nginx/nginx.conf", "listen 127.0.0.1:80;", "listen 127.0.0.1:80;\nlisten 127.0.0.1:446 ssl; ssl_certificate /state/tls/web.crt; ssl_certificate_key /state/tls/web.key;")
		w.edit("haproxy/haproxy.cfg", "bind 127.0.0.1:444\n", "bind 127.0.0.1:444\n    bind 127.0.0.1:447 ssl crt /state/tls/none.pem crt /state/tls/well.pem\n")
	})
	w.await(`"level":"ERROR","msg":"found about a certificate","code":"KAS3302","certificate":"/state/tls/kas.crt","what":"/state/tls/kas.crt: the certificate expires in 6 days"`, 1)
	w.await(`"level":"WARN","msg":"found about a certificate","code":"KAS3302","certificate":"/state/tls/web.crt","what":"/state/tls/web.crt: the certificate expires in 19 days"`, 1)
	for _, want := range []string{
		`kasgen_certificate_finding{code="KAS3302",name="kas.example.com",severity="error",source="files"} 1`,
		`kasgen_certificate_finding{code="KAS3302",name="web.example.com",severity="warning",source="files"} 1`,
		`kasgen_certificate_finding{code="KAS3301",name="none.example.com",severity="error",source="files"} 1`,
		`kasgen_certificate_ready{name="none.example.com",source="files"} 0`,
		`kasgen_certificate_ready{name="well.example.com",source="files"} 1`,
	} {
		w.mustGet("/metrics", http.StatusOK, want)
	}
	for _, not := range []string{"well.pem", "none.pem"} {
		if strings.Contains(w.errs.String(), `"certificate":"/state/tls/`+not) {
			t.Errorf("there is word of %s, which is well, or may be on its way", not)
		}
	}
}

// TestTellForeign: certificates that work and are for other names, by the edge,
// whose file says for which they ought to be, and by HAProxy, whose file does
// not.
func TestTellForeign(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(w *world) {
		w.lasting("tls/kas", "other.example.com", 60)
		w.lasting("tls/front", "other.example.com", 60)
		w.edit("haproxy/haproxy.cfg", "bind 127.0.0.1:444\n", "bind 127.0.0.1:444\n    bind 127.0.0.1:447 ssl crt /state/tls/front.pem\n")
	})
	for _, file := range []string{"kas.crt", "front.pem"} {
		w.await(`"level":"ERROR","msg":"found about a certificate","code":"KAS3306","certificate":"/state/tls/`+file, 1)
	}
	for _, want := range []string{
		`kasgen_certificate_finding{code="KAS3306",name="kas.example.com",severity="error",source="files"} 1`,
		`kasgen_certificate_ready{name="kas.example.com",source="files"} 0`,
		`kasgen_certificate_expiry_timestamp_seconds{name="kas.example.com",source="files"} 0`,
		`kasgen_certificate_ready{name="other.example.com",source="files"} 1`,
	} {
		w.mustGet("/metrics", http.StatusOK, want)
	}
}
