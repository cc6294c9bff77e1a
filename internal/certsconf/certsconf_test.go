package certsconf_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kasgen/internal/certsconf"
	"kasgen/internal/diag"
)

const valid = `apiVersion: kasgen/v1
kind: Certificates
source: acme
acme:
  directory: https://acme-v02.api.letsencrypt.org/directory
  caFile: /ca.pem
  email: ops@example.com
  externalAccount:
    keyID: id
    keyFile: /eab
  keyType: ecdsa256
  challenge: http-01
  webroot: /var/lib/kasgen/acme
  cache:
    directory: /var/lib/kasgen/certs
    keyFile: /cache.key
certificates:
  - names:
      - kas.example.com
      - kas-grpc.example.com
    certificateFile: /tls/kas.crt
    keyFile: /tls/kas.key
    combinedFile: /tls/kas.pem
observability:
  listen: 127.0.0.1:8156
drain: 30s
`

func TestReadWrite(t *testing.T) {
	t.Parallel()
	f, err := certsconf.Read("certs.yaml", []byte(valid))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff("# why\n\n"+valid, string(certsconf.Write(f, "why", nil))); d != "" {
		t.Error(d)
	}
}

func TestFindings(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		old, new string // what is replaced in valid
		want     []string
	}{
		"version":           {"kasgen/v1", "kasgen/v2", []string{"1:13 KAS1901"}},
		"kind":              {"kind: Certificates", "kind: Certs", []string{"2:7 KAS1901"}},
		"source":            {"source: acme", "source: files", []string{"3:9 KAS1904"}},
		"no section":        {valid[strings.Index(valid, "acme:\n"):strings.Index(valid, "certificates:")], "", []string{"1:1 KAS1902"}},
		"cleartext":         {"https://acme", "http://acme", []string{"5:14 KAS1905"}},
		"no directory":      {"  directory: https://acme-v02.api.letsencrypt.org/directory\n", "", []string{"4:1 KAS1905"}},
		"relative CA":       {"/ca.pem", "ca.pem", []string{"6:11 KAS1906"}},
		"no key ID":         {"keyID: id", `keyID: ""`, []string{"9:12 KAS1902"}},
		"no MAC key":        {"    keyFile: /eab\n", "", []string{"8:3 KAS1902"}},
		"key type":          {"ecdsa256", "ecdsa265", []string{"11:12 KAS1904"}},
		"challenge":         {"http-01", "dns-01", []string{"12:14 KAS1904"}},
		"no webroot":        {"  webroot: /var/lib/kasgen/acme\n", "", nil},
		"webroot unused":    {"http-01", "tls-alpn-01", []string{"13:12 KAS1909"}},
		"no cache":          {"    directory: /var/lib/kasgen/certs\n", "", []string{"14:3 KAS1902"}},
		"dirty path":        {"/var/lib/kasgen/certs", "/var/lib//certs", []string{"15:16 KAS1906"}},
		"no certificates":   {valid[strings.Index(valid, "certificates:"):strings.Index(valid, "observability:")], "certificates: []\n", []string{"17:15 KAS1902"}},
		"no names":          {"\n      - kas.example.com\n      - kas-grpc.example.com", " []", []string{"18:12 KAS1902"}},
		"a wildcard":        {"- kas-grpc.example.com", `- "*.example.com"`, []string{"20:9 KAS1903"}},
		"an address":        {"- kas.example.com", "- 192.0.2.1", []string{"19:9 KAS1903"}},
		"upper case":        {"- kas.example.com", "- Kas.example.com", []string{"19:9 KAS1903"}},
		"one label":         {"- kas.example.com", "- kas", []string{"19:9 KAS1903"}},
		"no certificate":    {"    certificateFile: /tls/kas.crt\n", "", []string{"18:5 KAS1902"}},
		"one file for both": {"/tls/kas.pem", "/tls/kas.key", []string{"23:19 KAS1907"}},
		"no combined file":  {"    combinedFile: /tls/kas.pem\n", "", nil},
		"address":           {"127.0.0.1:8156", "127.0.0.1", []string{"25:11 KAS1908"}},
		"no address":        {"\n  listen: 127.0.0.1:8156", " {}", []string{"24:16 KAS1902"}},
		"no drain":          {"drain: 30s\n", "", []string{"1:1 KAS1902"}},
		"negative drain":    {"30s", "-30s", []string{"26:8 KAS1008"}},
		"misspelt":          {"certificateFile", "certificatFile", []string{"21:5 KAS1005"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(valid, tc.old) {
				t.Fatal("nothing to replace")
			}
			_, err := certsconf.Read("c", []byte(strings.Replace(valid, tc.old, tc.new, 1)))
			var got []string
			fs, _ := errors.AsType[diag.Findings](err)
			for _, f := range fs {
				got = append(got, strings.TrimPrefix(f.String(), "c:")+" "+f.Code)
				if f.Why == "" || f.Fix == "" {
					t.Errorf("%v: no reason or fix", f)
				}
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("%s\n%v", d, err)
			}
		})
	}
}

// TestSecret is a cache in a Secret.
func TestSecret(t *testing.T) {
	t.Parallel()
	text := strings.Replace(valid, "    directory: /var/lib/kasgen/certs\n", "    secret:\n      name: kas-certificates\n      namespace: gitlab\n      kubeconfig: /root/.kube/config\n", 1)
	f, err := certsconf.Read("c", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff("# why\n\n"+text, string(certsconf.Write(f, "why", nil))); d != "" {
		t.Error(d)
	}
	for name, tc := range map[string]struct{ old, new, want string }{
		"no name":    {"kas-certificates", `""`, "16:13 KAS1902"},
		"a path":     {"kas-certificates", "kas/certificates", "16:13 KAS1903"},
		"dots":       {"namespace: gitlab", "namespace: git.lab", "17:18 KAS1903"},
		"relative":   {"/root/.kube/config", "config", "18:19 KAS1906"},
		"two places": {"    secret:\n", "    directory: /d\n    secret:\n", "16:5 KAS1907"},
	} {
		_, err := certsconf.Read("c", []byte(strings.Replace(text, tc.old, tc.new, 1)))
		fs, _ := errors.AsType[diag.Findings](err)
		if len(fs) != 1 || strings.TrimPrefix(fs[0].String(), "c:")+" "+fs[0].Code != tc.want {
			t.Errorf("%s: %v, want %s", name, err, tc.want)
		}
	}
}

// FuzzRead holds the package to its law: what it reads it writes, and reads
// back to the same value.
func FuzzRead(f *testing.F) {
	f.Add([]byte(valid))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := certsconf.Read("c", data)
		if err != nil {
			return
		}
		text := certsconf.Write(v, "c", nil)
		again, err := certsconf.Read("again", text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if d := cmp.Diff(v, again, cmpopts.EquateEmpty()); d != "" {
			t.Error(d)
		}
	})
}
