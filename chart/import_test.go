package chart

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kasgen/chart/charttest"
	"kasgen/internal/cli"
)

func imports(t *testing.T, in string, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	streams := cli.IO{In: strings.NewReader(in), Out: &o, Err: &e}
	code = cli.Run(t.Context(), cli.Root(streams, Imports(streams)...), append([]string{"values"}, args...))
	return code, o.String(), e.String()
}

// TestImportBack goes from a kasgen.yaml to values and extras, and back, and has
// the same values again.
func TestImportBack(t *testing.T) {
	t.Parallel()
	for _, c := range charttest.Cases() {
		if c.Version == "9.1" && c.Topology == "D" || c.Topology == "packaged" || strings.Contains(c.Name, "-kas-tls") || strings.Contains(strings.Join(c.Args, " "), "--kas-tls") {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			routes := []string{}
			for _, a := range c.Args {
				if strings.HasPrefix(a, "--routes") {
					routes = append(routes, a)
				}
			}
			spec, extras := write(t, "kasgen.yaml", c.KasgenYAML()), filepath.Join(dir, "extras")
			exit, before, errs := run(t, "", append([]string{"values", "-f", spec, "--chart-version", c.Version}, routes...)...)
			if exit != cli.Done {
				t.Fatal(errs)
			}
			if exit, _, errs := run(t, "", append([]string{"extras", "-f", spec, "--chart-version", c.Version, "-o", extras}, c.Args...)...); exit != cli.Done {
				t.Fatal(errs)
			}
			exit, described, errs := imports(t, "global: {hosts: {domain: example.com}}\n", "-", write(t, "v.yaml", before), "--extras", filepath.Join(extras, "values.yaml"))
			if exit != cli.Done {
				t.Fatal(errs)
			}
			exit, after, errs := run(t, described, append([]string{"values", "-f", "-", "--chart-version", c.Version}, routes...)...)
			if exit != cli.Done {
				t.Fatalf("%s\n%s", described, errs)
			}
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("%s\n%s", described, diff)
			}
		})
	}
}

// TestImport says where fields are from, and what is not kept.
func TestImport(t *testing.T) {
	t.Parallel()
	exit, out, errs := imports(t, `global:
  hosts: {domain: corp.example, hostSuffix: test}
  appConfig: {gitlab_kas: {externalUrl: wss://other.example.com}}
gitlab:
  kas:
    minReplicas: 4
    customConfig: {agent: {listen: {websocket: false}, info_cache_ttl: 60s}}
    ingress: {annotations: {nginx.ingress.kubernetes.io/proxy-read-timeout: "7200", a/b: c}}
`, "-")
	if exit != cli.Done {
		t.Fatal(errs)
	}
	want := `apiVersion: kasgen/v1
# the chart's Ingress has kas's name
topology: packaged
gitlab:
  # from global.hosts
  url: https://gitlab-test.corp.example
names:
  # from global.hosts.domain: the chart puts kas before it
  kas: kas-test.corp.example
agents:
  # from gitlab.kas.customConfig.agent.listen.websocket
  websocket: remove
timeouts:
  # from gitlab.kas.ingress.annotations.nginx.ingress.kubernetes.io/proxy-read-timeout
  idle: 2h0m0s
`
	if diff := cmp.Diff(want, out); diff != "" {
		t.Error(diff)
	}
	for _, lost := range []string{"global.appConfig.gitlab_kas.externalUrl", "gitlab.kas.ingress.annotations.a/b", "gitlab.kas.customConfig.agent.info_cache_ttl", "gitlab.kas.minReplicas"} {
		if !strings.Contains(errs, "not kept: "+lost+": ") {
			t.Errorf("%s is not told:\n%s", lost, errs)
		}
	}
	if exit, _, errs := imports(t, "- a\n", "-"); exit != cli.Failure || !strings.Contains(errs, "KAS6105") {
		t.Error(exit, errs)
	}
}
