package chart

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"kasgen/chart/charttest"
	"kasgen/chart/engine"
	"kasgen/internal/cli"
	"kasgen/internal/diag"
)

var update = flag.Bool("update", false, "write golden files anew")

const (
	arn     = "arn:aws:acm:eu-west-1:1:certificate/x"
	acmeTLS = "tls: {source: acme, acme: {email: a@example.com, cache: {secret: {name: kas-acme}}}}\n"
	bodyTLS = "loadBalancer: {kind: external-tcp, tls: terminate, proxyProtocol: v2}\ntls: {source: balancer}\n"
)

// extrasCase is a topology beside a version of GitLab's chart.
type extrasCase struct {
	name, version, topology, spec string
	args                          []string
	warn                          []string // codes
}

// extrasCases has every topology, provider and option.
func extrasCases() []extrasCase {
	issuer := []string{"--issuer=letsencrypt"}
	with := func(more ...string) []string { return append(append([]string{}, issuer...), more...) }
	kasTLS := "--kas-tls-secret=kas-tls"
	return []extrasCase{
		{name: "A-generic", version: "9.9", topology: "A", args: issuer},
		{name: "A-generic-secret", version: "9.1", topology: "A", args: []string{"--tls-secret=mine", "--source-range=192.0.2.0/24", "--image=registry.example.com:5000/kasgen:1.2.3"}},
		{name: "A-generic-proxy", version: "9.9", topology: "A", spec: "loadBalancer: {kind: external-tcp, proxyProtocol: v1}\n", args: issuer},
		{name: "A-acme", version: "10.4", topology: "A", spec: acmeTLS},
		{name: "A-gke", version: "9.9", topology: "A", args: with("--provider=gke")},
		{name: "A-aws", version: "9.9", topology: "A", spec: "loadBalancer: {kind: external-tcp, proxyProtocol: v2}\n", args: with("--provider=aws")},
		{name: "A-aws-tls", version: "9.9", topology: "A", spec: bodyTLS, args: []string{"--provider=aws", "--certificate-arn=" + arn}, warn: []string{"KAS1517"}},
		{name: "A-azure", version: "9.9", topology: "A", args: with("--provider=azure")},
		{name: "A-metallb", version: "9.9", topology: "A", args: with("--provider=metallb")},
		{name: "A-passthrough-gateway", version: "10.4", topology: "A", args: with("--passthrough-gateway", "--gateway=gitlab-gw", "--gateway-section=kas-web")},
		{name: "A-grpc-only", version: "9.9", topology: "A", spec: "agents: {websocket: remove}\n", args: issuer},
		{name: "B-nginx", version: "9.9", topology: "B", args: issuer},
		{name: "B-nginx-grpc-only", version: "9.9", topology: "B", spec: "agents: {websocket: remove}\n", args: issuer},
		{name: "B-gateway", version: "10.4", topology: "B", args: issuer},
		{name: "B-gateway-grpc-only", version: "10.4", topology: "B", spec: "agents: {websocket: remove}\n", args: issuer},
		{name: "B-gke-gateway", version: "9.9", topology: "B", args: with("--provider=gke", "--routes=gke-gateway", "--certificate-map=m")},
		{name: "B-alb", version: "9.9", topology: "B", spec: "loadBalancer: {kind: external-tcp, proxyProtocol: v2}\n", args: with("--provider=aws", "--routes=alb", "--certificate-arn="+arn), warn: []string{"KAS6115"}},
		{name: "B-aws-tls", version: "9.9", topology: "B", spec: bodyTLS + "grpcBalancer: {kind: external-http2}\n", args: []string{"--provider=aws", "--routes=alb", "--certificate-arn=" + arn}, warn: []string{"KAS1517", "KAS1707", "KAS6115"}},
		{name: "D-nginx", version: "9.1", topology: "D", args: issuer},
		{name: "D-nginx-kas-tls", version: "9.9", topology: "D", args: with(kasTLS)},
		{name: "D-nginx-grpc-only", version: "9.9", topology: "D", spec: "agents: {websocket: remove}\n", args: issuer},
		{name: "D-gateway", version: "10.4", topology: "D", args: with("--gateway=shared", "--gateway-namespace=infra", "--gateway-section=kas-grpc")},
		{name: "D-gke-ingress", version: "9.9", topology: "D", args: []string{"--routes=gke-ingress", kasTLS}},
		{name: "D-gke-ingress-grpc-only", version: "9.9", topology: "D", spec: "agents: {websocket: remove}\n", args: []string{"--routes=gke-ingress", kasTLS}},
		{name: "D-gke-gateway", version: "10.4", topology: "D", args: []string{"--routes=gke-gateway", "--certificate-map=m"}},
		{name: "D-alb", version: "9.9", topology: "D", args: []string{"--routes=alb", "--certificate-arn=" + arn}, warn: []string{"KAS6115"}},
		{name: "D-alb-grpc-only", version: "9.9", topology: "D", spec: "agents: {websocket: remove}\n", args: []string{"--routes=alb", "--certificate-arn=" + arn}, warn: []string{"KAS6115"}},
		{name: "packaged-alb", version: "9.9", topology: "packaged", args: []string{"--routes=alb", "--certificate-arn=" + arn}, warn: []string{"KAS6114"}},
	}
}

func (c extrasCase) write(t *testing.T) string {
	t.Helper()
	return write(t, "kasgen.yaml", "apiVersion: kasgen/v1\ntopology: "+c.topology+
		"\ngitlab: {url: \"https://gitlab.example.com\"}\nnames: {kas: kas.gitlab.example.com}\n"+c.spec)
}

var code = regexp.MustCompile(`warning: (KAS\d+)`)

// TestExtras renders the extras of every case by Helm, compares them, and
// verifies them together with the release that they stand beside.
func TestExtras(t *testing.T) {
	t.Parallel()
	for _, c := range extrasCases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.name == "packaged-alb" {
				// One name, which an ALB cannot read as HTTP/1.1 and as gRPC.
				code, _, errs := run(t, "", append([]string{"verify", "--extras", "--spec", c.write(t), "--chart", charttest.Dir(t, c.version), "-f", write(t, "v.yaml", base)}, c.args...)...)
				if code != cli.Failure || !strings.Contains(errs, "gRPC is HTTP/2") {
					t.Errorf("%d\n%s", code, errs)
				}
				return
			}
			tgz := filepath.Join(t.TempDir(), "extras.tgz")
			exit, _, errs := run(t, "", append([]string{"extras", "-f", c.write(t), "--chart-version", c.version, "-o", tgz}, c.args...)...)
			if exit != cli.Done {
				t.Fatalf("%d\n%s", exit, errs)
			}
			compare(t, c.name, tgz)
			exit, out, errs := run(t, "", append([]string{"verify", "--extras", "--spec", c.write(t), "--chart", charttest.Dir(t, c.version), "-f", write(t, "v.yaml", base)}, c.args...)...)
			var warned []string
			for _, m := range code.FindAllStringSubmatch(errs, -1) {
				if len(warned) == 0 || warned[len(warned)-1] != m[1] {
					warned = append(warned, m[1])
				}
			}
			if diff := cmp.Diff(c.warn, warned); exit != cli.Done || diff != "" || !strings.Contains(out, "the topology holds") {
				t.Errorf("exit code %d\n%s\n%s\n%s", exit, out, errs, diff)
			}
		})
	}
}

// compare renders a packaged chart and compares it with its golden file.
func compare(t *testing.T, name, tgz string) {
	t.Helper()
	c, err := engine.Load(tgz)
	if err != nil {
		t.Fatal(err)
	}
	var findings diag.Findings
	r := release{name: ExtrasRelease, namespace: "gitlab"}
	files, objects, err := r.objects(c, nil, &findings)
	if err != nil || len(findings) > 0 || len(objects) == 0 {
		t.Fatal(err, findings)
	}
	var archive txtar.Archive
	for _, f := range files {
		archive.Files = append(archive.Files, txtar.File{Name: f.Name, Data: append(bytes.TrimSpace([]byte(f.Text)), '\n')})
	}
	got := txtar.Format(&archive)
	golden := filepath.Join("extras", "testdata", name+".txtar")
	if *update {
		if err := os.WriteFile(golden, got, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Error(diff)
	}
}

// TestExtrasRefused has what a provider cannot do.
func TestExtrasRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		topology, spec, code string
		args                 []string
	}{
		{"packaged", "", "KAS6205", nil},
		{"A", "loadBalancer: {kind: external-tcp, proxyProtocol: v2}\n", "KAS6201", []string{"--provider=gke"}},
		{"A", "loadBalancer: {kind: external-tcp, proxyProtocol: v1}\n", "KAS6201", []string{"--provider=aws"}},
		{"A", bodyTLS, "KAS6202", []string{"--provider=azure"}},
		{"A", bodyTLS, "KAS6203", []string{"--provider=aws"}},
		{"D", acmeTLS, "KAS6203", nil},
		{"D", "", "KAS6203", []string{"--routes=alb"}},
		{"D", "", "KAS6203", []string{"--routes=gke-gateway"}},
		{"D", "", "KAS6204", []string{"--routes=gke-ingress"}},
		{"B", "", "KAS6204", []string{"--routes=gke-ingress"}},
		{"A", "", "KAS6204", []string{"--kas-tls-secret=s"}},
		{"A", "", "KAS6206", []string{"--passthrough-gateway"}},
	} {
		t.Run(tt.topology+strings.Join(tt.args, ""), func(t *testing.T) {
			t.Parallel()
			c := extrasCase{topology: tt.topology, spec: tt.spec}
			out := filepath.Join(t.TempDir(), "extras")
			exit, _, errs := run(t, "", append([]string{"extras", "-f", c.write(t), "--chart-version=9.9", "-o", out}, tt.args...)...)
			if exit != cli.Failure || !strings.Contains(errs, "error: "+tt.code) {
				t.Errorf("%d\n%s", exit, errs)
			}
			if _, err := os.Stat(out); err == nil {
				t.Error("something was written")
			}
		})
	}
}

// TestExtrasSchema gives the extras values that they do not take.
func TestExtrasSchema(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "extras")
	if exit, _, errs := run(t, "", "extras", "--topology=A", "--chart-version=9.9", "-o", dir); exit != cli.Done {
		t.Fatal(errs)
	}
	c, err := engine.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, values := range []map[string]any{
		{"provider": "openstack"},
		{"edge": map[string]any{"replicas": 0}},
		{"service": map[string]any{"proxyProtocl": "v2"}},
		{"names": map[string]any{"kas": "https://kas.example.com"}},
	} {
		if _, err := c.Render(engine.Release{Name: "r", Namespace: "n"}, values); err == nil || !strings.Contains(err.Error(), "schema") {
			t.Errorf("%v: %v", values, err)
		}
	}
}

// TestExtrasDirectory writes over older extras, and over nothing else.
func TestExtrasDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "extras")
	for _, topology := range []string{"A", "D"} {
		if exit, _, errs := run(t, "", "extras", "--topology="+topology, "--chart-version=9.9", "-o", dir); exit != cli.Done {
			t.Fatal(errs)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "files")); err == nil {
		t.Error("the edge's files of topology A are still there")
	}
	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "Chart.yaml"), []byte("name: other\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if exit, _, errs := run(t, "", "extras", "--topology=A", "--chart-version=9.9", "-o", other); exit != cli.Failure || !strings.Contains(errs, "another directory") {
		t.Error(exit, errs)
	}
}
