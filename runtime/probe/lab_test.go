package probe

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"

	"kasgen/internal/judge"
	"kasgen/runtime/balancer/balancertest"
	"kasgen/runtime/host"
	"kasgen/runtime/kas"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// authority signs the lab's certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "lab CA"}, NotBefore: time.Now().Add(-1000 * time.Hour),
		NotAfter: time.Now().Add(10000 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key, pool: x509.NewCertPool()}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pool.AddCert(a.cert)
	return a
}

// issue writes certificate and key, and returns both in one file, too.
func (a *authority) issue(t testing.TB, dir, file string, left time.Duration, names ...string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names,
		NotBefore: time.Now().Add(-500 * time.Hour), NotAfter: time.Now().Add(left), KeyUsage: x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	crt := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	pkey := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	for name, data := range map[string][]byte{file + ".crt": crt, file + ".key": pkey, file + ".pem": append(crt, pkey...)} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// lab is what every front stands before.
type lab struct {
	dir         string
	ca          *authority
	agents, api string // kasgen's kas; its proxy takes the prefix away
	bare        string // and one that wants no prefix
	grpcOnly    string // one without WebSockets
	cluster     string // a stand-in for a kas with a cluster behind it; it asks for credentials first, as GitLab's does
	plainGRPC   string // a gRPC server that looks at nothing else, as a kas of GitLab without WebSockets
	tls         string // Go's own server with TLS, as a kas of GitLab with certificate_file
	dead        string // where nobody listens
	edge        string // with TLS, behind a PROXY header v2
	cleartext   string // the same edge behind who ends TLS
}

const (
	labName = "kas.example.com"
	token   = "ci:7:secret-token"
)

func newLab(t testing.TB) *lab {
	t.Helper()
	l := &lab{dir: t.TempDir(), ca: newAuthority(t), dead: balancertest.FreePort(t)}
	l.agents, l.api = startKAS(t, "websocket: true", "", "/k8s-proxy")
	_, l.bare = startKAS(t, "websocket: true", "", "/")
	l.grpcOnly, _ = startKAS(t, "websocket: false", "", "/k8s-proxy")
	l.plainGRPC = startGRPC(t)
	s := httptest.NewServer(http.HandlerFunc(clusterHandler))
	t.Cleanup(s.Close)
	l.cluster = s.Listener.Addr().String()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	l.tls = secure.Listener.Addr().String()
	l.ca.issue(t, l.dir, "good", 2000*time.Hour, labName, "kas-grpc.example.com")
	l.ca.issue(t, l.dir, "other", 2000*time.Hour, "gitlab.example.com")
	l.ca.issue(t, l.dir, "expired", -time.Hour, labName)
	l.ca.issue(t, l.dir, "soon", 48*time.Hour, labName)
	l.edge = startEdge(t, l)
	return l
}

// startKAS is kasgen's own kas, without anybody behind it; secure is a path of a
// certificate and its key without their endings, "" for a kas without TLS.
func startKAS(t testing.TB, agents, secure, prefix string) (string, string) {
	t.Helper()
	if secure != "" {
		secure = fmt.Sprintf(", certificate_file: %[1]s.crt, key_file: %[1]s.key", secure)
	}
	text := fmt.Sprintf(`
gitlab: {address: "http://127.0.0.1:9", authentication_secret_file: secret}
agent:
  listen: {address: "127.0.0.1:0", %s%[2]s}
  kubernetes_api: {listen: {address: "localhost:0", shutdown_grace_period: 1s%[2]s}, url_path_prefix: %[3]s}
observability: {listen: {address: "[::1]:0"}}
api: {listen: {address: "127.0.0.1:1", authentication_secret_file: secret}}
private_api: {listen: {address: "127.0.0.1:2", authentication_secret_file: secret}}
`, agents, secure, prefix)
	c, err := kas.Load("kas-config.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	where := balancertest.Serve(t, func(ctx context.Context, h *host.Host) (*kas.Server, error) {
		h.ReadFile = func(path string) ([]byte, error) {
			if path != "secret" {
				return os.ReadFile(path)
			}
			return []byte(base64.StdEncoding.EncodeToString(make([]byte, 32))), nil
		}
		return c.New(ctx, h, "test")
	})
	return where("127.0.0.1:0"), where("localhost:0")
}

// startGRPC is a gRPC server without a service.
func startGRPC(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	done := make(chan error, 1)
	go func() { done <- s.Serve(ln) }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String()
}

// fill puts the lab's addresses and files into a configuration. LISTEN is a
// free port.
func (l *lab) fill(t testing.TB, text string) (filled, listen string) {
	t.Helper()
	listen = balancertest.FreePort(t)
	return strings.NewReplacer("LISTEN", listen, "INNER", balancertest.FreePort(t), "AGENTS", l.agents, "GRPCONLY", l.grpcOnly, "PLAINGRPC", l.plainGRPC, "API", l.api, "BARE", l.bare,
		"CLUSTER", l.cluster, "DEAD", l.dead, "EDGE", l.edge, "CLEAR", l.cleartext, "TLSKAS", l.tls, "CERTS", l.dir).Replace(text), listen
}

// nginx runs the real one, and returns its address and a bundle with its file.
func (l *lab) nginx(t testing.TB, text string) (string, string) {
	t.Helper()
	bin := judge.Find(t, "nginx")
	text, listen := l.fill(t, text)
	dir := t.TempDir()
	file := filepath.Join(dir, "nginx", "nginx.conf")
	write(t, file, text)
	balancertest.Start(t, bin, "-p", dir, "-c", file, "-g", "daemon off; pid "+dir+"/pid; error_log stderr;")(listen)
	return listen, dir
}

// haproxy runs the real one.
func (l *lab) haproxy(t testing.TB, text string) (string, string) {
	t.Helper()
	bin := judge.Find(t, "haproxy")
	text, listen := l.fill(t, text)
	dir := t.TempDir()
	file := filepath.Join(dir, "haproxy", "haproxy.cfg")
	write(t, file, text)
	balancertest.Start(t, bin, "-db", "-f", file)(listen)
	return listen, dir
}

func write(t testing.TB, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// options probe the lab's name at an address.
func (l *lab) options(t testing.TB, address, bundle string) Options {
	t.Helper()
	u, err := url.Parse("https://" + labName)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{KAS: u, Connect: map[string]string{"": address}, Roots: l.ca.pool, Timeout: 5 * time.Second}
	if bundle != "" {
		if o.Bundle, err = ReadBundle(bundle); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

// edit is text with changes made, each of which must change something.
func edit(t testing.TB, text string, changes ...string) string {
	t.Helper()
	for i := 0; i < len(changes); i += 2 {
		next := strings.ReplaceAll(text, changes[i], changes[i+1])
		if next == text {
			t.Fatalf("%q is not in the configuration", changes[i])
		}
		text = next
	}
	return text
}

func newReader(data []byte) *bufio.Reader { return bufio.NewReader(bytes.NewReader(data)) }
