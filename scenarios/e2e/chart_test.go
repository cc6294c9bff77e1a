//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/restmapper"

	"kasgen/chart"
	"kasgen/chart/charttest"
	"kasgen/chart/engine"
	"kasgen/chart/manifest"
	"kasgen/internal/cli"
	"kasgen/scenarios/lab/apiserver"
)

// definitions are those of the kinds that the extras use: of Gateway API and of
// cert-manager from their modules, of providers models.
func definitions(t *testing.T) [][]byte {
	t.Helper()
	all := bytes.Split(charttest.Models(), []byte("\n---\n"))[1:]
	for module, files := range map[string][]string{
		"sigs.k8s.io/gateway-api":              {"config/crd/standard/gateway.networking.k8s.io_gateways.yaml", "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml", "config/crd/standard/gateway.networking.k8s.io_grpcroutes.yaml", "config/crd/standard/gateway.networking.k8s.io_tlsroutes.yaml"},
		"github.com/cert-manager/cert-manager": {"deploy/crds/cert-manager.io_certificates.yaml"},
	} {
		dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
		if err != nil {
			t.Fatal(module, err)
		}
		for _, file := range files {
			data, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), file))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, data)
		}
	}
	return all
}

// testChart has the API server look at what the extras render, strictly and
// without keeping it: every topology, provider and option.
func testChart(t *testing.T, s *apiserver.Server) {
	const namespace = "gitlab"
	client, err := dynamic.NewForConfig(s.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	core, err := kubernetes.NewForConfig(s.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := core.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace,
		// What the extras' pods promise.
		Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"}}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	// Its controller does not run here.
	if _, err := core.CoreV1().ServiceAccounts(namespace).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	reader, err := manifest.NewReader()
	if err != nil {
		t.Fatal(err)
	}
	mapper := install(t, s, client, reader)
	for _, c := range charttest.Cases() {
		if c.Topology == "packaged" {
			continue // it has nothing beside the release that would work
		}
		t.Run(c.Name, func(t *testing.T) {
			n := 0
			for _, o := range extras(t, reader, c) {
				mapping, err := mapper.RESTMapping(schema.FromAPIVersionAndKind(o.APIVersion, o.Kind).GroupKind(), schema.FromAPIVersionAndKind(o.APIVersion, o.Kind).Version)
				if err != nil {
					t.Errorf("%s: %v", o.Title(), err)
					continue
				}
				_, err = client.Resource(mapping.Resource).Namespace(namespace).Create(t.Context(), &unstructured.Unstructured{Object: o.Tree},
					metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict})
				if err != nil {
					t.Errorf("%s: %v", o.Title(), err)
				}
				admit(t, core, namespace, o)
				n++
			}
			t.Logf("chart: %d objects pass", n)
		})
	}
}

// admit has admission look at the pod that a Deployment would make, which only its
// controller makes.
func admit(t *testing.T, core kubernetes.Interface, namespace string, o *manifest.Object) {
	t.Helper()
	if o.Kind != "Deployment" {
		return
	}
	template, ok, err := unstructured.NestedMap(o.Tree, "spec", "template")
	if err != nil || !ok {
		t.Fatal(err)
	}
	template["metadata"] = map[string]any{"name": "edge"}
	data, err := (&unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": template["metadata"], "spec": template["spec"]}}).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	// Its service account was not kept.
	data = bytes.Replace(data, []byte(`"serviceAccountName":"kas-edge-edge"`), []byte(`"serviceAccountName":"default"`), 1)
	err = core.CoreV1().RESTClient().Post().Namespace(namespace).Resource("pods").Param("dryRun", "All").Param("fieldValidation", "Strict").Body(data).Do(t.Context()).Error()
	if err != nil {
		t.Errorf("the pod of %s: %v", o.Title(), err)
	}
}

// install makes the definitions, and waits until they are served.
func install(t *testing.T, s *apiserver.Server, client dynamic.Interface, reader *manifest.Reader) meta.RESTMapper {
	t.Helper()
	gvr := schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	var names []string
	for _, text := range definitions(t) {
		list, findings := reader.Read("crd", text)
		if findings.Failed() || len(list) != 1 {
			t.Fatal(len(list), findings)
		}
		if _, err := client.Resource(gvr).Create(t.Context(), &unstructured.Unstructured{Object: list[0].Tree}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		names = append(names, list[0].Name)
	}
	for _, name := range names {
		err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
			crd, err := client.Resource(gvr).Get(ctx, name, metav1.GetOptions{})
			if err != nil {
				return false, err
			}
			conditions, _, err := unstructured.NestedSlice(crd.Object, "status", "conditions")
			for _, c := range conditions {
				if m, ok := c.(map[string]any); ok && m["type"] == "Established" && m["status"] == "True" {
					return true, nil
				}
			}
			return false, err
		})
		if err != nil {
			t.Fatal(name, err)
		}
	}
	d, err := discovery.NewDiscoveryClientForConfig(s.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	var groups []*restmapper.APIGroupResources
	err = wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		groups, err = restmapper.GetAPIGroupResources(d)
		if err != nil {
			return false, nil // groups come one by one
		}
		_, missing := restmapper.NewDiscoveryRESTMapper(groups).RESTMapping(schema.GroupKind{Group: "cert-manager.io", Kind: "Certificate"})
		return missing == nil, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return restmapper.NewDiscoveryRESTMapper(groups)
}

// extras are the objects of a case.
func extras(t *testing.T, reader *manifest.Reader, c charttest.Case) []*manifest.Object {
	t.Helper()
	dir := t.TempDir()
	spec, out := filepath.Join(dir, "kasgen.yaml"), filepath.Join(dir, "extras.tgz")
	if err := os.WriteFile(spec, []byte(c.KasgenYAML()), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	streams := cli.IO{In: strings.NewReader(""), Out: &stdout, Err: &stderr}
	args := append([]string{"chart", "extras", "-f", spec, "--chart-version", c.Version, "-o", out}, c.Args...)
	if code := cli.Run(t.Context(), cli.Root(streams, chart.Commands(streams)...), args); code != cli.Done {
		t.Fatal(code, stderr.String())
	}
	loaded, err := engine.Load(out)
	if err != nil {
		t.Fatal(err)
	}
	files, err := loaded.Render(engine.Release{Name: "kas-edge", Namespace: "gitlab", APIVersions: []string{"gateway.networking.k8s.io/v1/TLSRoute"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var all []*manifest.Object
	for _, f := range files {
		list, findings := reader.Read(f.Name, []byte(f.Text))
		if len(findings) > 0 {
			t.Error(findings)
		}
		all = append(all, list...)
	}
	return all
}
