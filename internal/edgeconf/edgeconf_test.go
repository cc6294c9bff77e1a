package edgeconf_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kasgen/internal/diag"
	"kasgen/internal/edgeconf"
)

const valid = `apiVersion: kasgen/v1
kind: Edge
listeners:
  - name: kas
    address: 127.0.0.1:9443
    proxyProtocol: v2
    tls:
      certificateFile: /c.pem
      keyFile: /k.pem
      minVersion: "1.2"
      alpn:
        - http/1.1
        - h2
    serverNames:
      - kas.example.com
    limits:
      handshake: 10s
      sniff: 10s
      header: 10s
      maxHeaderBytes: 65536
      idle: 1m0s
    routes:
      grpc: agent
      paths:
        - prefix: /k8s-proxy
          upstream: kubernetes-api
          upgrades:
            - websocket
            - SPDY/3.1
          strip: true
        - prefix: /
          upstream: agent
          upgrades:
            - websocket
          upgradeOnly: true
upstreams:
  - name: agent
    address: 127.0.0.1:8150
    connect: 5s
  - name: kubernetes-api
    address: '[::1]:8154'
    tls:
      serverName: kas.internal
    connect: 5s
drain: 30s
`

func TestReadWrite(t *testing.T) {
	t.Parallel()
	f, err := edgeconf.Read("edge.yaml", []byte(valid))
	if err != nil {
		t.Fatal(err)
	}
	if got := time.Duration(f.Listeners[0].Limits.Idle); got != time.Minute {
		t.Errorf("idle is %v", got)
	}
	if d := cmp.Diff("# why\n\n"+valid, string(edgeconf.Write(f, "why", nil))); d != "" {
		t.Error(d)
	}
}

func TestFindings(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		old, new string // what is replaced in valid
		want     []string
	}{
		"version":            {"kasgen/v1", "kasgen/v2", []string{"1:13 KAS1101"}},
		"kind":               {"kind: Edge", "kind: Egde", []string{"2:7 KAS1101"}},
		"no drain":           {"drain: 30s", "", []string{"1:1 KAS1108"}},
		"bad drain":          {"drain: 30s", "drain: -1s", []string{"45:8 KAS1008"}},
		"no listeners":       {"listeners:\n  - name: kas", "listeners: []\nx:\n  - name: kas", []string{"3:12 KAS1102", "4:1 KAS1005"}},
		"port":               {"127.0.0.1:9443", "127.0.0.1:65536", []string{"5:14 KAS1103"}},
		"no port":            {"127.0.0.1:8150", "127.0.0.1", []string{"38:14 KAS1103"}},
		"no address":         {"    address: 127.0.0.1:8150\n", "", []string{"37:5 KAS1102"}},
		"same name":          {"name: kubernetes-api", "name: agent", []string{"26:21 KAS1105", "40:11 KAS1104"}},
		"no such upstream":   {"grpc: agent", "grpc: agnet", []string{"23:13 KAS1105"}},
		"prefix":             {"prefix: /k8s-proxy", "prefix: k8s-proxy", []string{"25:19 KAS1106"}},
		"same prefix":        {"prefix: /\n", "prefix: /k8s-proxy/\n", []string{"31:19 KAS1104"}},
		"proxy protocol":     {"v2", "v3", []string{"6:20 KAS1111"}},
		"TLS version":        {`"1.2"`, `"1.1"`, []string{"10:19 KAS1107"}},
		"TLS version number": {`"1.2"`, `1.2`, []string{"10:19 KAS1007"}},
		"ALPN":               {"- h2", "- h3", []string{"13:11 KAS1107"}},
		"no certificate":     {"certificateFile: /c.pem", `certificateFile: ""`, []string{"8:24 KAS1102"}},
		"server name":        {"- kas.example.com", "- https://kas.example.com", []string{"15:9 KAS1110"}},
		"no limit":           {"      sniff: 10s\n", "", []string{"16:5 KAS1108"}},
		"zero limit":         {"maxHeaderBytes: 65536", "maxHeaderBytes: 0", []string{"20:23 KAS1108"}},
		"upgrade":            {"- SPDY/3.1", "- h2c", []string{"29:15 KAS1109"}},
		"upgrade in another case": {
			"- SPDY/3.1", "- spdy/3.1", nil,
		},
		"nothing upgrades":     {"upgrades:\n            - websocket\n          upgradeOnly", "upgrades: []\n          upgradeOnly", []string{"34:24 KAS1109"}},
		"misspelt is reported": {"certificateFile", "certificatFile", []string{"8:7 KAS1005"}},
		"server name of TLS":   {"serverName: kas.internal", `serverName: ""`, []string{"43:19 KAS1102"}},
		"all at once":          {"127.0.0.1:9443\n    proxyProtocol: v2", "x\n    proxyProtocol: 2\n    colour: red", []string{"5:14 KAS1103", "6:20 KAS1007", "7:5 KAS1005"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(valid, tc.old) {
				t.Fatal("nothing to replace")
			}
			_, err := edgeconf.Read("e", []byte(strings.Replace(valid, tc.old, tc.new, 1)))
			var got []string
			fs, _ := errors.AsType[diag.Findings](err)
			for _, f := range fs {
				got = append(got, strings.TrimPrefix(f.String(), "e:")+" "+f.Code)
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

// TestTLS is what a listener may be told of tickets and clients' certificates.
func TestTLS(t *testing.T) {
	t.Parallel()
	const more = `        - h2
      sessionTickets:
        keyFile: /tickets.key
        rotate: 12h0m0s
      clientCA:
        file: /clients.pem
        required: false
`
	text := strings.Replace(valid, "        - h2\n", more, 1)
	f, err := edgeconf.Read("e", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff("# why\n\n"+text, string(edgeconf.Write(f, "why", nil))); d != "" {
		t.Error(d)
	}
	for name, tc := range map[string]struct{ old, new, want string }{
		"no key file":   {"/tickets.key", `""`, "15:18 KAS1102"},
		"too quick":     {"12h0m0s", "1m", "16:17 KAS1108"},
		"too slow":      {"12h0m0s", "85h", "16:17 KAS1108"},
		"no period":     {"        rotate: 12h0m0s\n", "", "14:7 KAS1108"},
		"no client CA":  {"/clients.pem", `""`, "18:15 KAS1102"},
		"not a boolean": {"required: false", "required: maybe", "19:19 KAS1007"},
	} {
		_, err := edgeconf.Read("e", []byte(strings.Replace(text, tc.old, tc.new, 1)))
		fs, _ := errors.AsType[diag.Findings](err)
		if len(fs) != 1 || strings.TrimPrefix(fs[0].String(), "e:")+" "+fs[0].Code != tc.want {
			t.Errorf("%s: %v, want %s", name, err, tc.want)
		}
	}
}

// FuzzRead holds the package to its law: what it reads it writes, and reads
// back to the same value.
func FuzzRead(f *testing.F) {
	f.Add([]byte(valid))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := edgeconf.Read("e", data)
		if err != nil {
			return
		}
		text := edgeconf.Write(v, "c", nil)
		again, err := edgeconf.Read("again", text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if d := cmp.Diff(v, again, cmpopts.EquateEmpty()); d != "" {
			t.Error(d)
		}
	})
}
