package proof_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"kasgen/chart/manifest"
	"kasgen/chart/proof"
)

const before = `apiVersion: v1
kind: ConfigMap
metadata: {name: r-webservice, labels: {app: webservice, release: r}}
data:
  gitlab.yml.erb: |
    production:
      gitlab: {host: gitlab.example.com}
      gitlab_kas: {external_url: "wss://a"}
      key: <%= secret %>
---
apiVersion: v1
kind: Service
metadata: {name: r-kas, labels: {app: kas, release: r}}
spec: {type: ClusterIP, ports: [{name: a, port: 1}, {name: b, port: 2}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: r-webservice, labels: {app: webservice}}
spec: {selector: {}, template: {metadata: {annotations: {checksum/config: one}}, spec: {containers: []}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: gone}
`

const after = `apiVersion: v1
kind: ConfigMap
metadata: {name: r-webservice, namespace: ns, labels: {app: webservice, release: r}}
data:
  gitlab.yml.erb: |
    production:
      gitlab: {host: other.example.com}
      gitlab_kas: {external_url: "wss://b"}
      key: <%= secret %>
---
apiVersion: v1
kind: Service
metadata: {name: r-kas, labels: {app: kas, release: r}}
spec: {type: ClusterIP, ports: [{name: b, port: 3}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: r-webservice, labels: {app: webservice}}
spec: {selector: {}, template: {metadata: {annotations: {checksum/config: two}}, spec: {containers: []}}}
---
apiVersion: v1
kind: Secret
metadata: {name: new}
`

func read(t *testing.T, text string) []*manifest.Object {
	t.Helper()
	r, err := manifest.NewReader()
	if err != nil {
		t.Fatal(err)
	}
	list, findings := r.Read("m.yaml", []byte(text))
	if findings.Failed() {
		t.Fatal(findings)
	}
	return list
}

// TestOthers tells what has changed, and which of it is not kas's.
func TestOthers(t *testing.T) {
	t.Parallel()
	differences := proof.Compare(read(t, before), read(t, after), "ns")
	var all, others []string
	for _, d := range differences {
		all = append(all, d.String())
	}
	for _, f := range proof.Others("r", differences) {
		others = append(others, f.What)
	}
	const host = `~ ConfigMap r-webservice data.gitlab.yml.erb.production.gitlab.host: "gitlab.example.com" -> "other.example.com"`
	if diff := cmp.Diff([]string{
		"- ConfigMap gone",
		host,
		`~ ConfigMap r-webservice data.gitlab.yml.erb.production.gitlab_kas.external_url: "wss://a" -> "wss://b"`,
		`~ Deployment r-webservice spec.template.metadata.annotations.checksum/config: "one" -> "two"`,
		"+ Secret new",
		`~ Service r-kas spec.ports[a].name: "a" -> (nothing)`,
		`~ Service r-kas spec.ports[a].port: 1 -> (nothing)`,
		`~ Service r-kas spec.ports[b].port: 2 -> 3`,
	}, all); diff != "" {
		t.Error(diff)
	}
	const is = "something that is not kas's changes: "
	if diff := cmp.Diff([]string{is + "- ConfigMap gone", is + host, is + "+ Secret new"}, others); diff != "" {
		t.Error(diff)
	}
}
