package kas

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kasgen/internal/diag"
	"kasgen/internal/kasconf"
)

// honoured are the keys that have an effect. A section stands for all that is
// in it; a shorter entry of unusedKeys or of refused for what it leaves.
func honoured() []string {
	return []string{
		"gitlab", "agent.listen", "agent.info_cache_ttl", "agent.info_cache_error_ttl", "agent.kubernetes_api",
		"observability.listen", "observability.prometheus", "observability.logging.level", "observability.liveness_probe", "observability.readiness_probe",
		"api.listen", "private_api.listen.network", "private_api.listen.address", "private_api.listen.authentication_secret_file",
		"private_api.listen.certificate_file", "private_api.listen.key_file", "private_api.listen.max_connection_age", "private_api.listen.listen_grace_period",
		"config.command",
	}
}

// keysOf are the paths of all keys below a type.
func keysOf(t reflect.Type, at string) []string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return []string{strings.TrimPrefix(at, ".")}
	}
	var keys []string
	for _, f := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || name == "" {
			continue
		}
		keys = append(keys, keysOf(f.Type, at+"."+name)...)
	}
	return keys
}

// TestEveryKey: each key of the file has an effect, is refused, or is warned
// of; none is skipped, and none is in two of the lists.
func TestEveryKey(t *testing.T) {
	t.Parallel()
	lists := map[string][]string{"honoured": honoured(), "refused": {"workspaces", "autoflow.temporal"}}
	for _, k := range unusedKeys() {
		lists["unused"] = append(lists["unused"], k.field)
	}
	keys := keysOf(reflect.TypeFor[kasconf.File](), "")
	below := func(key, section string) bool { return key == section || strings.HasPrefix(key, section+".") }
	for _, key := range keys {
		var in []string
		for name, list := range lists {
			if slices.ContainsFunc(list, func(section string) bool { return below(key, section) }) {
				in = append(in, name)
			}
		}
		if len(in) != 1 {
			t.Errorf("%s is in %v, want one of honoured, refused and unused", key, in)
		}
	}
	for name, list := range lists {
		for _, section := range list {
			if !slices.ContainsFunc(keys, func(key string) bool { return below(key, section) }) {
				t.Errorf("%s, %s, is no key", section, name)
			}
		}
	}
}

const least = `
gitlab: {address: "https://gitlab.example.com", authentication_secret_file: g}
api: {listen: {authentication_secret_file: a}}
private_api: {listen: {authentication_secret_file: p}}
`

// TestLoad: what is refused, with and without a registry in memory, and what is
// warned of.
func TestLoad(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		more   string
		option []Option
		want   []string // severity, code and field
	}{
		"nothing":         {"", nil, nil},
		"null sections":   {"config:\nagent:\nredis:\nobservability: null\n", nil, nil},
		"redis":           {"redis: {server: {address: 'r:1'}}", nil, []string{"error KAS3003 redis"}},
		"redis in memory": {"redis: {server: {address: 'r:1'}}", []Option{TunnelsInMemory()}, []string{"warning KAS3002 redis"}},
		"workspaces":      {"workspaces: {enabled: true, listen: {address: ':8160'}}", nil, []string{"error KAS3001 workspaces.enabled"}},
		"no workspaces":   {"workspaces: {enabled: false, listen: {address: ':8160'}}", nil, nil},
		"autoflow":        {"autoflow: {temporal: {host_port: 't:1'}}", nil, []string{"error KAS3001 autoflow.temporal"}},
		"no reports":      {"observability: {usage_reporting_period: 0s, google_profiler: {enabled: false}}", nil, nil},
		"reports":         {"observability: {usage_reporting_period: 60s, sentry: {dsn: x}}", nil, []string{"warning KAS3002 observability.usage_reporting_period", "warning KAS3002 observability.sentry"}},
		"agent's files":   {"agent: {configuration: {poll_period: 300s}, gitops: {poll_period: 1s}}", nil, []string{"warning KAS3002 agent.configuration", "warning KAS3002 agent.gitops"}},
		"command":         {"config: {command: /bin/false}", nil, []string{"warning KAS3005 config.command"}},
		"both faults":     {"redis: {server: {address: 'r:1'}}\nworkspaces: {enabled: true}", nil, []string{"error KAS3003 redis", "error KAS3001 workspaces.enabled"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := Load("kas-config.yaml", []byte(least+tt.more), tt.option...)
			fs, _ := errors.AsType[diag.Findings](err)
			if err == nil {
				fs = c.Warnings()
			}
			var got []string
			for _, f := range fs {
				got = append(got, string(f.Severity)+" "+f.Code+" "+f.Field)
				if f.Line < 5 || f.Why == "" || f.Fix == "" {
					t.Errorf("%v has no place, reason or fix", f)
				}
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestFilesAndBinds(t *testing.T) {
	t.Parallel()
	c, err := Load("k", []byte(`
gitlab: {address: "https://gitlab.example.com", authentication_secret_file: g, ca_certificate_file: ca}
agent:
  listen: {certificate_file: a.crt, key_file: a.key}
  kubernetes_api: {listen: {certificate_file: k.crt, key_file: k.key}, websocket_token_secret_file: w}
observability: {listen: {certificate_file: o.crt, key_file: o.key}}
api: {listen: {authentication_secret_file: a, certificate_file: i.crt, key_file: i.key}}
private_api: {listen: {authentication_secret_file: p, certificate_file: p.crt, key_file: p.key}}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"g", "ca", "a.crt", "a.key", "k.crt", "k.key", "w", "o.crt", "o.key", "a", "i.crt", "i.key", "p", "p.crt", "p.key"}
	if d := cmp.Diff(want, c.Files()); d != "" || c.WebSocketTokenFile() != "w" {
		t.Errorf("files (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"127.0.0.1:8150", "127.0.0.1:8151", "0.0.0.0:8154", "127.0.0.1:8153", "127.0.0.1:8155"}, c.Binds()); d != "" {
		t.Errorf("binds (-want +got):\n%s", d)
	}
}
