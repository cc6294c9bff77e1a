package generator_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"kasgen/internal/judge"
)

// TestNative lets HAProxy and nginx judge what is rendered for them.
func TestNative(t *testing.T) {
	t.Parallel()
	for _, file := range goldens(t) {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			state := t.TempDir()
			certificate(t, filepath.Join(state, "tls"))
			text := strings.ReplaceAll(string(a.Files[0].Data), "/var/lib/kasgen", state)
			if !strings.Contains(text, state) {
				text += "stateDir: " + state + "\n"
			}
			for _, f := range rendered(t, text).Files {
				path := filepath.Join(state, filepath.Base(f.Name))
				switch f.Name {
				case "haproxy/haproxy.cfg":
					accept(t, path, f.Data, judge.Find(t, "haproxy"), "-c", "-f", path)
				case "nginx/stream.conf", "nginx/nginx.conf":
					// Debian's nginx is older than this directive; the rest of
					// the file it can judge.
					data := bytes.ReplaceAll(temporary(f.Data, state), []byte("        http2 on;\n"), nil)
					accept(t, path, data, judge.Find(t, "nginx"), "-t", "-c", path)
				}
			}
		})
	}
}

// temporary gives nginx's http{} directories that anybody may write.
func temporary(data []byte, dir string) []byte {
	lines := "\nhttp {\n"
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		lines += kind + "_temp_path " + dir + "/" + kind + ";\n"
	}
	return bytes.Replace(data, []byte("\nhttp {\n"), []byte(lines), 1)
}

func accept(t *testing.T, path string, data []byte, name string, args ...string) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s refuses it: %v\n%s\n%s", name, err, out, data)
	}
	// nginx warns where the machine allows fewer open files; nothing else may
	// be worth a warning.
	for line := range strings.Lines(string(out)) {
		low := strings.ToLower(line)
		if strings.Contains(low, "warn") && !strings.Contains(low, "worker_connections exceed") {
			t.Errorf("%s warns: %s", name, line)
		}
	}
}

// certificate writes kas.crt, kas.key and kas.pem below dir.
func certificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kas.example.com"},
		NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"kas.example.com", "kas-grpc.example.com"}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	crt := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	pemKey := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"kas.crt": crt, "clients.pem": crt, "kas.key": pemKey, "kas.pem": append(crt, pemKey...)} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
