package kasconf_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kasgen/internal/diag"
	"kasgen/internal/kasconf"
)

// TestLayers: what is laid over a file wins, leaves alone what it does not
// name, and has its own places.
func TestLayers(t *testing.T) {
	t.Parallel()
	over := kasconf.Source{Name: "over", Data: []byte(`
agent:
  listen: {websocket: false, address: null}
  kubernetes_api: {extra_allowed_response_headers: [X-B]}
redis:
  server: {address: "redis.example.com:6379"}
api: null
`)}
	f, places, warnings, err := kasconf.ReadPlaced(kasconf.Source{Name: "k", Data: []byte(valid + "  # end\n")}, over)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	got := map[string]any{
		"websocket": f.Agent.Listen.Websocket, "address": f.Agent.Listen.Address, "prefix": f.Agent.KubernetesAPI.URLPathPrefix,
		"headers": f.Agent.KubernetesAPI.ExtraAllowedResponseHeaders, "redis": f.Redis.Server.Address, "api": f.API.Listen.AuthenticationSecretFile,
		"place of what is over": places.Pos("redis.server.address").File, "of what is not": places.Pos("api.listen").File, "of what is nowhere": places.Pos("gitaly").File,
	}
	want := map[string]any{
		"websocket": false, "address": "127.0.0.1:8150", "prefix": "/k8s-proxy", "headers": []string{"X-B"}, "redis": "redis.example.com:6379", "api": "/s/api",
		"place of what is over": "over", "of what is not": "k", "of what is nowhere": "k",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for text, want := range map[string]string{
		"agent: {listen: {addres: x}}":                                          "over:1:18 KAS1005",
		"redis: {server: {address: nonsense}}":                                  "over:1:27 KAS1202",
		"agent: {redis_conn_info_ttl: 1s}":                                      "over:1:30 KAS1207",
		"- a":                                                                   "over:1:1 KAS1007",
		"agent: {listen: {certificate_file: /tls.crt}}":                         "over:1:36 KAS1204",
		"redis: {sentinel: {master_name: m, addresses: [a]}}":                   "over:1:19 KAS1206",
		"agent: {kubernetes_api: {extra_allowed_response_headers: ['X: y']}}":   "over:1:59 KAS1205",
		"agent: {receptive_agent: {poll_period: 0s}, listen: {websocket: yes}}": "over:1:40 KAS1203",
	} {
		_, _, _, err := kasconf.ReadPlaced(kasconf.Source{Name: "k", Data: []byte(valid)}, kasconf.Source{Name: "over", Data: []byte(text)})
		fs, _ := errors.AsType[diag.Findings](err)
		if len(fs) != 1 || fs[0].Pos.String()+" "+fs[0].Code != want {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// TestCommandMayAdd: a file that is not the whole may lack what kas needs, and
// may not have what kas refuses.
func TestCommandMayAdd(t *testing.T) {
	t.Parallel()
	const part = "config: {command: /bin/secrets}\nprivate_api: {listen: {authentication_secret_file: p}}\n"
	f, _, warnings, err := kasconf.ReadPlaced(kasconf.Source{Name: "k", Data: []byte(part)})
	if err != nil || f.Config.Command != "/bin/secrets" {
		t.Fatal(f, err)
	}
	var got []string
	for _, w := range warnings {
		got = append(got, string(w.Severity)+" "+w.Code+" "+w.Field)
	}
	if d := cmp.Diff([]string{"warning KAS1201 gitlab", "warning KAS1201 api"}, got); d != "" {
		t.Error(d)
	}
	if _, err := kasconf.Read("k", []byte(part+"agents: {}\n")); err == nil {
		t.Error("an unknown key is accepted")
	}
	if _, _, _, err := kasconf.ReadPlaced(kasconf.Source{Name: "k", Data: []byte(part)}, kasconf.Source{Name: "over"}); err == nil {
		t.Error("what the command has not added is not missed")
	}
}
