package kasconf_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kasgen/internal/diag"
	"kasgen/internal/kasconf"
)

const valid = `gitlab:
  address: https://gitlab.example.com
  authentication_secret_file: /s/gitlab
agent:
  listen:
    network: tcp
    address: 127.0.0.1:8150
    websocket: true
  info_cache_ttl: 0s
  kubernetes_api:
    listen:
      address: 127.0.0.1:8154
    url_path_prefix: /k8s-proxy
    allowed_agent_cache_error_ttl: 0.5s
    websocket_token_secret_file: /s/websocket
observability:
  logging:
    level: warn
redis:
  server:
    address: 127.0.0.1:6379
api:
  listen:
    authentication_secret_file: /s/api
private_api:
  listen:
    address: 127.0.0.1:8155
    authentication_secret_file: /s/private
    ca_certificate_file: /ca.pem
`

func TestReadWrite(t *testing.T) {
	t.Parallel()
	f, err := kasconf.Read("kas-config.yaml", []byte(valid))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff("# why\n\n"+valid, string(kasconf.Write(f, "why", nil))); d != "" {
		t.Error(d)
	}
}

// TestLenient holds Read to what GitLab's kas accepts though nobody writes it.
func TestLenient(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]*strings.Replacer{
		"null section":      strings.NewReplacer("agent:\n", "config:\nagent:\n"),
		"null field":        strings.NewReplacer("address: 127.0.0.1:8155", "address: null"),
		"level by number":   strings.NewReplacer("warn", "2"),
		"yes":               strings.NewReplacer("true", "yes"),
		"no redis":          strings.NewReplacer("redis:\n  server:\n    address: 127.0.0.1:6379\n", ""),
		"long fraction":     strings.NewReplacer("0.5s", "0.123456789s"),
		"beyond 292 years":  strings.NewReplacer("0.5s", "315576000000s"),
		"omnibus's extras":  strings.NewReplacer("observability:\n", "observability:\n  sentry:\n    dsn: x\n"),
		"workspaces":        strings.NewReplacer("agent:\n", "workspaces:\n  enabled: false\nagent:\n"),
		"unix socket":       strings.NewReplacer("network: tcp\n    address: 127.0.0.1:8150", "network: unix\n    address: /run/kas"),
		"redis over socket": strings.NewReplacer("redis:\n", "redis:\n  network: unix\n", "127.0.0.1:6379", "/run/redis"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := r.Replace(valid)
			if text == valid {
				t.Fatal("nothing was replaced")
			}
			if _, err := kasconf.Read("k", []byte(text)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFindings(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		old, new string
		want     []string // place, code, and a word of the reason or fix
	}{
		"no gitlab":        {"gitlab:\n  address: https://gitlab.example.com\n  authentication_secret_file: /s/gitlab\n", "", []string{"1:1 KAS1201"}},
		"empty secret":     {"/s/api", `""`, []string{"24:33 KAS1201"}},
		"no secret":        {"    authentication_secret_file: /s/private\n", "", []string{"26:3 KAS1201"}},
		"no api.listen":    {"api:\n  listen:\n    authentication_secret_file: /s/api\n", "api: {}\n", []string{"22:6 KAS1201"}},
		"not a URI":        {"https://gitlab.example.com", "gitlab.example.com", []string{"2:12 KAS1202 scheme"}},
		"minutes":          {"0.5s", "5m", []string{`14:36 KAS1008 "300s"`}},
		"no unit":          {"0.5s", "300", []string{`14:36 KAS1008 "300s"`}},
		"zero":             {"0.5s", "0s", []string{"14:36 KAS1203"}},
		"negative":         {"info_cache_ttl: 0s", "info_cache_ttl: -1s", []string{"9:19 KAS1203"}},
		"half a pair":      {"websocket: true", "key_file: /k", []string{"8:15 KAS1204 certificate_file"}},
		"network":          {"network: tcp", "network: udp", []string{"6:14 KAS1205"}},
		"empty network":    {"network: tcp", `network: ""`, []string{"6:14 KAS1205"}},
		"level":            {"warn", "trace", []string{"18:12 KAS1008 debug"}},
		"level number":     {"warn", "4", []string{"18:12 KAS1008 debug"}},
		"redis address":    {"127.0.0.1:6379", "redis://127.0.0.1", []string{"21:14 KAS1202"}},
		"redis two ways":   {"redis:\n", "redis:\n  sentinel: {master_name: m, addresses: [a]}\n", []string{"20:13 KAS1206"}},
		"redis no way":     {"  server:\n    address: 127.0.0.1:6379\n", "  key_prefix: a\n", []string{"19:1 KAS1206"}},
		"empty sentinel":   {"  server:\n    address: 127.0.0.1:6379\n", "  sentinel: {}\n", []string{"20:13 KAS1201", "20:13 KAS1201"}},
		"database":         {"redis:\n", "redis:\n  database_index: -1\n", []string{"20:19 KAS1208"}},
		"refresh":          {"  info_cache_ttl: 0s", "  redis_conn_info_ttl: 240s", []string{"9:24 KAS1207"}},
		"external url":     {"  authentication_secret_file: /s/gitlab", "  authentication_secret_file: /s/gitlab\n  external_url: ''", []string{"4:17 KAS1201"}},
		"unknown":          {"websocket: true", "websockets: true", []string{`8:5 KAS1005 "websocket"`}},
		"bucket":           {"  authentication_secret_file: /s/gitlab", "  authentication_secret_file: /s/gitlab\n  api_rate_limit: {refill_rate_per_second: -1}", []string{"4:44 KAS1208"}},
		"embedded unknown": {"ca_certificate_file: /ca.pem", "colour: red", []string{"29:5 KAS1005 ca_certificate_file"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(valid, tc.old) {
				t.Fatal("nothing to replace")
			}
			_, err := kasconf.Read("k", []byte(strings.Replace(valid, tc.old, tc.new, 1)))
			fs, _ := errors.AsType[diag.Findings](err)
			if len(fs) != len(tc.want) {
				t.Fatalf("want %d findings, got: %v", len(tc.want), err)
			}
			for i, want := range tc.want {
				f := fs[i]
				parts := strings.SplitN(want, " ", 3)
				if got := strings.TrimPrefix(f.String(), "k:"); got != parts[0] || f.Code != parts[1] {
					t.Errorf("want %s, got %v", want, f)
				}
				if len(parts) == 3 && !strings.Contains(f.Why+f.Fix, parts[2]) {
					t.Errorf("%q is in neither why (%s) nor fix (%s)", parts[2], f.Why, f.Fix)
				}
			}
		})
	}
}

func TestWithDefaults(t *testing.T) {
	t.Parallel()
	f, err := kasconf.Read("k", []byte(valid))
	if err != nil {
		t.Fatal(err)
	}
	before := string(kasconf.Write(f, "", nil))
	d := f.WithDefaults()
	if after := string(kasconf.Write(f, "", nil)); after != before {
		t.Error("the original changed")
	}
	got := map[string]any{
		"agent address":    d.Agent.Listen.Address,
		"websocket":        d.Agent.Listen.Websocket,
		"age":              d.Agent.Listen.MaxConnectionAge.Or(0),
		"rate":             d.Agent.Listen.ConnectionsPerTokenPerMinute,
		"info ttl":         d.Agent.InfoCacheTTL.Or(time.Hour), // 0s was set
		"prefix":           d.Agent.KubernetesAPI.URLPathPrefix,
		"shutdown":         d.Agent.KubernetesAPI.Listen.ShutdownGracePeriod.Or(0),
		"api":              d.API.Listen.Address,
		"private":          d.PrivateAPI.Listen.Address,
		"private's secret": d.PrivateAPI.Listen.AuthenticationSecretFile,
		"metrics":          d.Observability.Prometheus.URLPath,
		"gitlab rate":      *d.Gitlab.APIRateLimit,
		"prefix of redis":  d.Redis.KeyPrefix,
		"level":            d.Observability.Logging.Level,
	}
	want := map[string]any{
		"agent address": "127.0.0.1:8150", "websocket": true, "age": 2 * time.Hour, "rate": uint32(40000),
		"info ttl": time.Duration(0), "prefix": "/k8s-proxy/", "shutdown": time.Hour, "api": "127.0.0.1:8153",
		"private": "127.0.0.1:8155", "private's secret": "/s/private", "metrics": "/metrics",
		"gitlab rate": kasconf.RateLimit{RefillRatePerSecond: 50, BucketSize: 250}, "prefix of redis": "gitlab-kas",
		"level": kasconf.LogLevel("warn"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	again, err := kasconf.Read("again", kasconf.Write(d, "", nil))
	if err != nil {
		t.Fatalf("kas's defaults break kas's rules: %v", err)
	}
	if diff := cmp.Diff(d, again, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}

func TestCheckGitLab(t *testing.T) {
	t.Parallel()
	read := func(text string) *kasconf.File {
		f, err := kasconf.Read("k", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	without := strings.Replace(valid, "    websocket_token_secret_file: /s/websocket\n", "", 1)
	for name, tc := range map[string]struct {
		version, text string
		want          []string
	}{
		"18":                {"18.5.0", valid, nil},
		"18 without":        {"18.0", without, []string{kasconf.CodeGatedNeed}},
		"17 with":           {"17.11.3", valid, nil},
		"17 without":        {"17.0.0", without, nil},
		"16 with":           {"16.11.0", valid, []string{kasconf.CodeGate}},
		"16 without":        {"16.11.0", without, nil},
		"17 with gitops":    {"17.0.0", strings.Replace(valid, "agent:\n", "agent:\n  gitops: {poll_period: 1s}\n", 1), []string{kasconf.CodeGate}},
		"no redis":          {"18.5.0", strings.Replace(valid, "redis:\n  server:\n    address: 127.0.0.1:6379\n", "", 1), []string{kasconf.CodeGitLabRedis}},
		"no proxy, no need": {"18.5.0", "gitlab: {address: 'http://g', authentication_secret_file: g}\nredis: {server: {address: 'r:1'}}\napi: {listen: {authentication_secret_file: a}}\nprivate_api: {listen: {authentication_secret_file: p}}\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, err := kasconf.ParseVersion(tc.version)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range read(tc.text).CheckGitLab(v) {
				got = append(got, f.Code)
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestParseVersion(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"18.5.0": "18.5.0", "v17.11": "17.11.0", "": "", "18": "", "a.b": "", "1.2.3.4": "", "18.-1": ""} {
		v, err := kasconf.ParseVersion(in)
		if (err != nil) != (want == "") || err == nil && v.String() != want {
			t.Errorf("%q: %v, %v", in, v, err)
		}
	}
}

// FuzzRead holds the package to its law: what it reads it writes, and reads
// back to the same value.
func FuzzRead(f *testing.F) {
	f.Add([]byte(valid))
	f.Add([]byte(strings.ReplaceAll(valid, "0.5s", "-0.000000001s")))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := kasconf.Read("k", data)
		if err != nil {
			return
		}
		text := kasconf.Write(v, "c", nil)
		again, err := kasconf.Read("again", text)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if d := cmp.Diff(v, again, cmpopts.EquateEmpty()); d != "" {
			t.Error(d)
		}
		v.WithDefaults()
	})
}
