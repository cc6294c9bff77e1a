package chart

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"kasgen/chart/charttest"
	"kasgen/internal/cli"
	"kasgen/internal/diag"
)

// TestTraps puts values above kasgen's that the chart takes without a word, and
// has each reported with its code, its value and the manifest it shows in.
func TestTraps(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, version, topology, values string
		code, field, file, what         string
	}{
		{"a key that no version has", "9.9", "packaged", "gitlab: {kas: {ingress: {annotation: {a: b}}}}",
			"KAS6106", "gitlab.kas.ingress.annotation", "values.yaml", ""},
		{"a key that came later", "9.1", "packaged", "gitlab: {kas: {ingress: {grpc: {enabled: true}}}}",
			"KAS6106", "gitlab.kas.ingress.grpc", "values.yaml", ""},
		{"a key one level too high", "9.9", "packaged", "kas: {ingress: {enabled: true}}",
			"KAS6106", "kas", "values.yaml", ""},
		{"customConfig twice", "9.9", "packaged", "global: {kas: {customConfig: {agent: {info_cache_ttl: 60s}}}}\ngitlab: {kas: {customConfig: {agent: {listen: {websocket: true}}}}}",
			"KAS6107", "global.kas.customConfig", "values.yaml", ""},
		{"a global customConfig hides kasgen's", "9.9", "A-remove", "global: {kas: {customConfig: {agent: {info_cache_ttl: 60s}}}}",
			"KAS6120", "gitlab.kas.customConfig.agent.listen.websocket", "kas/templates/configmap.yaml", "websocket is true"},
		{"backend-protocol written twice", "9.9", "packaged", "global: {kas: {tls: {enabled: true, secretName: s}}}\ngitlab: {kas: {ingress: {annotations: {nginx.ingress.kubernetes.io/backend-protocol: GRPC}}}}",
			"KAS6102", "metadata.annotations.nginx.ingress.kubernetes.io/backend-protocol", "kas/templates/ingress.yaml", ""},
		{"one backend-protocol for both Ingresses", "9.1", "packaged", "gitlab: {kas: {ingress: {annotations: {nginx.ingress.kubernetes.io/backend-protocol: GRPC}}}}",
			"KAS6114", "gitlab.kas.ingress.annotations", "kas/templates/ingress.yaml", "no upgrades"},
		{"a LoadBalancer shows every port", "9.9", "packaged", "gitlab: {kas: {service: {type: LoadBalancer}}}",
			"KAS6117", "gitlab.kas.service.type", "kas/templates/service.yaml", "port 8153"},
		{"and the metrics", "9.9", "packaged", "gitlab: {kas: {service: {type: NodePort}}}",
			"KAS6117", "gitlab.kas.service.type", "kas/templates/service.yaml", "port 8151"},
		{"a TCP port without a line in the ConfigMap", "9.9", "packaged", "nginx-ingress: {tcp: {8150: gitlab/gitlab-kas:8150}}",
			"KAS6121", "nginx-ingress.tcp.8150", "nginx-ingress/templates/controller.yaml", "nothing listens"},
		{"two ConfigMaps of one name", "9.9", "packaged", `nginx-ingress: {tcpExternalConfig: "", tcp: {8150: gitlab/gitlab-kas:8150}}`,
			"KAS6104", "", "nginx-ingress/templates/controller.yaml", "is there twice"},
		{"the internal API as a TCP service", "9.9", "packaged", `nginx-ingress: {tcpExternalConfig: "", tcp: {22: gitlab/gitlab-gitlab-shell:22, 8153: gitlab/gitlab-kas:8153}, controller: {service: {enableShell: false}}}
gitlab: {gitlab-shell: {tcpExternalConfig: true}}`,
			"KAS6117", "nginx-ingress.tcp.8153", "nginx-ingress/templates/controller.yaml", "port 8153"},
		{"gRPC's address would be the kubeconfigs'", "9.9", "B", "global: {appConfig: {gitlab_kas: {externalUrl: grpcs://kas-other.example.com}}}",
			"KAS6119", "global.appConfig.gitlab_kas.externalUrl", "webservice/templates/configmap.yaml", "names are others"},
		{"a local toggle that the address does not see", "10.4", "packaged", "global: {gatewayApi: {installEnvoy: false}, ingress: {enabled: true}, kas: {ingress: {grpc: {enabled: true}}}, appConfig: {gitlab_kas: {externalUrl: \"\"}}}\ngitlab: {kas: {gatewayRoute: {enabled: false}, ingress: {grpc: {enabled: false}}}}",
			"KAS6119", "global.appConfig.gitlab_kas.externalUrl", "webservice/templates/configmap.yaml", "no gRPC passes"},
		{"a route that is switched off locally", "10.4", "packaged", "global: {appConfig: {gitlab_kas: {externalUrl: \"\"}}}\ngitlab: {kas: {gatewayRoute: {enabled: false}}}",
			"KAS6112", "names", "", "kubectl, Helm and CI jobs"},
		{"no TLS", "9.9", "packaged", "global: {hosts: {https: false}, appConfig: {gitlab_kas: {externalUrl: \"\"}}}",
			"KAS6119", "global.appConfig.gitlab_kas.externalUrl", "webservice/templates/configmap.yaml", "in clear"},
		{"an Ingress without TLS", "9.9", "packaged", "global: {ingress: {tls: {enabled: false}}}",
			"KAS6118", "global.ingress.tls", "kas/templates/ingress.yaml", "no TLS"},
		{"the controller's minute", "9.9", "packaged", "gitlab: {kas: {ingress: {annotations: {nginx.ingress.kubernetes.io/proxy-read-timeout: \"60\"}}}}",
			"KAS6115", "gitlab.kas.ingress.annotations", "kas/templates/ingress.yaml", "60 s"},
		{"the controller's megabyte", "9.9", "packaged", "gitlab: {kas: {ingress: {annotations: {nginx.ingress.kubernetes.io/proxy-body-size: 1m}}}}",
			"KAS6116", "gitlab.kas.ingress.annotations", "kas/templates/ingress.yaml", "1m"},
		{"a path for agents that is the Kubernetes API's", "9.9", "packaged", "gitlab: {kas: {ingress: {k8sApiPath: /kube}}}",
			"KAS6113", "gitlab.kas.ingress", "kas/templates/ingress.yaml", "port 8150"},
		{"HTTP/2 to the port that speaks HTTP/1.1", "10.4", "packaged", "gitlab: {kas: {backendTrafficPolicy: {spec: {targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: gitlab-kas-k8s-proxy}]}}}}",
			"KAS6114", "gitlab.kas.backendTrafficPolicy.spec", "kas/templates/route.yaml", "HTTP/2"},
		{"a limit on requests that are streams", "10.4", "packaged", "gitlab: {kas: {gatewayRoute: {timeouts: {request: 15s}}}}",
			"KAS6115", "gitlab.kas.gatewayRoute.timeouts.request", "kas/templates/route.yaml", "is 15s"},
		{"an Ingress for the edge's name", "9.9", "A", "gitlab: {kas: {ingress: {enabled: true}}}",
			"KAS6123", "gitlab.kas.ingress.enabled", "kas/templates/ingress.yaml", "the edge's"},
		{"a wrong type", "9.9", "packaged", "gitlab: {kas: {deployment: {terminationGracePeriodSeconds: a lot}}}",
			"KAS6103", "", "kas/templates/deployment.yaml", "terminationGracePeriodSeconds"},
		{"text that breaks a template", "9.9", "packaged", `gitlab: {kas: {service: {type: "a: b"}}}`,
			"KAS6101", "", "kas/templates/service.yaml", "no YAML"},
		{"what the chart asks for is missing", "9.9", "packaged", "certmanager-issuer: {email: \"\"}",
			"KAS6109", "", "", "certmanager-issuer.email"},
		{"kas is off", "9.9", "packaged", "global: {kas: {enabled: false}}",
			"KAS6111", "global.kas.enabled", "", "no kas"},
		{"kas is off in GitLab", "9.9", "packaged", "global: {appConfig: {gitlab_kas: {enabled: false}}}",
			"KAS6119", "global.appConfig.gitlab_kas.enabled", "webservice/templates/configmap.yaml", "switched off"},
		{"Rails calls another port", "9.9", "packaged", "global: {appConfig: {gitlab_kas: {internalUrl: \"grpc://gitlab-kas.gitlab.svc:8150\"}}}",
			"KAS6119", "global.appConfig.gitlab_kas.internalUrl", "webservice/templates/configmap.yaml", "port 8150"},
		{"values that are twice there", "9.9", "packaged", "gitlab: {kas: {minReplicas: 1}}\ngitlab: {kas: {maxReplicas: 1}}",
			"KAS6108", "gitlab", "values.yaml", "twice"},
		{"values that are none", "9.9", "packaged", "- a\n", "KAS6105", "", "values.yaml", "mapping"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			topology, remove, _ := strings.Cut(tt.topology, "-")
			args := []string{"verify", "--format=json", "--topology=" + topology, "--chart", charttest.Dir(t, tt.version),
				"-f", write(t, "first.yaml", base), "-f", write(t, "values.yaml", tt.values)}
			if remove != "" {
				args = append(args, "--agents-websocket=remove")
			}
			code, out, errs := run(t, "", args...)
			var got verified
			if err := json.Unmarshal([]byte(out), &got); err != nil {
				t.Fatalf("%v\n%s\n%s", err, out, errs)
			}
			found := slices.ContainsFunc(got.Findings, func(f diag.Finding) bool {
				return f.Code == tt.code && f.Severity == diag.Error && f.Field == tt.field && strings.HasSuffix(f.File, tt.file) &&
					strings.Contains(f.What, tt.what) && f.Why != "" && f.Fix != ""
			})
			if !found || code != cli.Failure {
				t.Errorf("exit code %d:\n%s", code, titles(got.Findings))
			}
		})
	}
}

func titles(fs diag.Findings) string {
	var b strings.Builder
	for _, f := range fs {
		fmt.Fprintf(&b, "%s [%s]\n", f.Error(), f.Field)
	}
	return b.String()
}
