package omnibustest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"kasgen/scenarios/loopback"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var (
	listens      = regexp.MustCompile(`(?m)^(\s*listen )(\S+?):(\d+)(.*);`)
	certificates = regexp.MustCompile(`(?m)^(\s*ssl_certificate(_key)? )/(?:etc/gitlab|var/lib/kasgen)/.*;`)
	includes     = regexp.MustCompile(`(?m)^(\s*include )(/\S+);`)
	logs         = regexp.MustCompile(`(?m)^(\s*(?:access|error)_log )/\S+/(\S+) `)
	http2        = regexp.MustCompile(`(?m)^\s*http2 on;\n`)
	// What Debian's nginx has no module or user for.
	foreign = regexp.MustCompile(`(?m)^\s*(?:user|hide_server_tokens|vhost_traffic_status\w*)\b.*;\n`)
)

// Adapt makes the files of a machine fit for Debian's nginx without a package:
// other ports, certificates that are there, folders below root. Where a file
// says `http2 on`, older nginx is told by its listeners. Everything else of the
// files stays, directives of GitLab's own modules excepted.
func Adapt(t testing.TB, root string, port func(port string) (address string)) {
	t.Helper()
	older := !knowsHTTP2(t)
	tls := filepath.Join(root, "tls")
	Certificate(t, tls, "kas.gitlab.example.com", "kas-grpc.gitlab.example.com", "old-kas.gitlab.example.com", "gitlab.example.com")
	logDir := filepath.Join(root, "log")
	if err := os.MkdirAll(logDir, 0o755); err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, pattern := range []string{"var/opt/gitlab/nginx/conf/*.conf", "var/opt/gitlab/nginx/conf/*/*.conf", "etc/gitlab/kasgen/vhosts/*.conf"} {
		list, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, list...)
	}
	speaks := map[string]bool{} // addresses that speak HTTP/2, in any file
	texts := map[string]string{}
	for _, path := range found {
		text := Read(t, path)
		for _, server := range strings.SplitAfter(text, "\nserver {") {
			if http2.MatchString(server) || strings.Contains(server, " http2;") {
				for _, l := range listens.FindAllStringSubmatch(server, -1) {
					speaks[l[3]] = true
				}
			}
		}
		texts[path] = text
	}
	open(t, root)
	for path, text := range texts {
		text = listens.ReplaceAllStringFunc(text, func(line string) string {
			l := listens.FindStringSubmatch(line)
			options := l[4]
			if older {
				options = strings.ReplaceAll(options, " http2", "")
				if speaks[l[3]] && strings.Contains(options, " ssl") {
					options += " http2"
				}
			}
			return l[1] + port(l[3]) + options + ";"
		})
		if older {
			text = http2.ReplaceAllString(text, "")
		}
		text = foreign.ReplaceAllString(text, "")
		text = certificates.ReplaceAllStringFunc(text, func(line string) string {
			m := certificates.FindStringSubmatch(line)
			if m[2] != "" {
				return m[1] + filepath.Join(tls, "kas.key") + ";"
			}
			return m[1] + filepath.Join(tls, "kas.crt") + ";"
		})
		text = includes.ReplaceAllString(text, "${1}"+root+"${2};")
		text = logs.ReplaceAllString(text, "${1}"+logDir+"/${2} ")
		text = strings.ReplaceAll(text, "/var/lib/kasgen/acme", filepath.Join(root, "acme"))
		text = strings.ReplaceAll(text, "/var/opt/gitlab/nginx/www", filepath.Join(root, "www"))
		text = strings.ReplaceAll(text, "\nhttp {\n", "\nhttp {\n"+temporary(root))
		Write(t, path, text)
	}
}

var nginxVersion = regexp.MustCompile(`nginx/(\d+)\.(\d+)\.(\d+)`)

// knowsHTTP2 says whether the nginx that is installed has the directive, which is
// of 1.25.1. One that is not there reads nothing.
func knowsHTTP2(t testing.TB) bool {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		program = "/usr/sbin/nginx"
	}
	said, err := exec.CommandContext(t.Context(), program, "-v").CombinedOutput()
	v := nginxVersion.FindSubmatch(said)
	if err != nil || v == nil {
		return false
	}
	var at [3]int
	for i, text := range v[1:] {
		if at[i], err = strconv.Atoi(string(text)); err != nil {
			t.Fatal(err)
		}
	}
	return slices.Compare(at[:], []int{1, 25, 1}) >= 0
}

// temporary gives nginx's http{} folders that anybody may write.
func temporary(root string) string {
	lines := ""
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		lines += fmt.Sprintf("%s_temp_path %s;\n", kind, filepath.Join(root, "temp_"+kind))
	}
	return lines
}

// Certificate writes kas.crt and kas.key below dir, signed by itself.
func Certificate(t testing.TB, dir string, names ...string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: names[0]}, NotAfter: time.Now().Add(time.Hour), DNSNames: names, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	Write(t, filepath.Join(dir, "kas.crt"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	Write(t, filepath.Join(dir, "kas.key"), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
}

// open lets a worker of nginx, which has no rights of root, read what is there.
func open(t testing.TB, root string) {
	t.Helper()
	for dir := root; dir != filepath.Clean(os.TempDir()) && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// Free is an address on which nobody listens, and that is kept for the test.
func Free(t testing.TB) string {
	t.Helper()
	var ports loopback.Ports
	t.Cleanup(func() {
		if err := ports.Close(); err != nil {
			t.Error(err)
		}
	})
	address, err := ports.Take()
	if err != nil {
		t.Fatal(err)
	}
	return address
}
