package scenarios

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kasgen/internal/cli"
	"kasgen/scenarios/demo"
	"kasgen/scenarios/lab/cluster"
)

// TestDemoSays runs the demo on a bundle that there is, and reads what people
// see.
func TestDemoSays(t *testing.T) { // not parallel: it is a load by itself
	var out bytes.Buffer
	errs := new(log)
	streams := cli.IO{Out: &out, Err: errs}
	kubeconfig, dir := filepath.Join(t.TempDir(), "kubeconfig"), renderedAs(t, "D", "")
	before := read(t, dir)
	code := cli.Run(t.Context(), cli.Root(streams, Commands(streams)...), []string{"demo", "--bundle", dir, "--once", "--kubeconfig-out", kubeconfig})
	if code != cli.Done {
		t.Errorf("exit code %d\n%s", code, errs.String())
	}
	if info, err := os.Stat(kubeconfig); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("kubeconfig: %v, %v", info, err)
	}
	if n := strings.Count(errs.String(), "redirected: listener 0.0.0.0:443 is 127.0.0.1:"); n != 1 {
		t.Errorf("the front's redirection is told %d times\n%s", n, errs.String())
	}
	for _, want := range []string{"refused [1]", "\n[1] exec, attach, cp and port-forward pass here over WebSocket only", "32 cells: 20 pass, 0 fail, 12 refused, 0 skip"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, out.String())
		}
	}
	if diff := cmp.Diff(before, read(t, dir)); diff != "" {
		t.Errorf("the bundle changed:\n%s", diff)
	}
	if strings.Contains(out.String(), "[2]") {
		t.Errorf("one reason is told twice:\n%s", out.String())
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	whole := make([]demo.Cell, demo.Count(2))
	for i := range whole {
		whole[i].Result = demo.Pass
	}
	if err := demo.Judge(whole, nil, 2); err != nil {
		t.Errorf("all pass: %v", err)
	}
	if demo.Judge(whole[1:], nil, 2) == nil {
		t.Error("a missing cell is no failure")
	}
	for _, r := range []demo.Result{demo.Fail, demo.Refused, demo.Skip, ""} {
		whole[7].Result = r
		if demo.Judge(whole, nil, 2) == nil {
			t.Errorf("a cell that is %q is no failure", r)
		}
	}
}

// TestDemoWithAClusterOfOthers gives the demo a kubeconfig, as for a real
// cluster. What was spoken is then what the API server answered to the agent.
func TestDemoWithAClusterOfOthers(t *testing.T) { // not parallel: it is a load by itself
	other, err := cluster.Start(t.Context(), cluster.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	c := other.RESTConfig()
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf("{apiVersion: v1, kind: Config, current-context: c, clusters: [{name: c, cluster: {server: %q, certificate-authority-data: %s}}], users: [{name: c, user: {token: %q}}], contexts: [{name: c, context: {cluster: c, user: c}}]}",
		c.Host, base64.StdEncoding.EncodeToString(c.CAData), c.BearerToken)
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	errs := new(log)
	streams := cli.IO{Out: &out, Err: errs}
	if code := cli.Run(t.Context(), cli.Root(streams, Commands(streams)...), []string{"demo", "--once", "--cluster-kubeconfig", kubeconfig}); code != cli.Done {
		t.Errorf("exit code %d\n%s%s", code, errs.String(), out.String())
	}
	if strings.Contains(errs.String(), "stand-in: its pod") || !strings.Contains(out.String(), "32 pass") {
		t.Errorf("%s%s", errs.String(), out.String())
	}
}

func read(t *testing.T, dir string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		files[path] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestDemoRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args []string
		want string
		code int
	}{
		{[]string{"demo", "--topology=X", "--once"}, "topology", cli.Misuse},
		{[]string{"demo", "--bundle", "nowhere", "--topology=D"}, "--bundle runs a bundle as it is", cli.Misuse},
		{[]string{"demo", "--bundle", "nowhere", "--once"}, "there is no directory nowhere", cli.Failure},
	} {
		var out, errs bytes.Buffer
		streams := cli.IO{Out: &out, Err: &errs}
		if code := cli.Run(t.Context(), cli.Root(streams, Commands(streams)...), tt.args); code != tt.code || !strings.Contains(errs.String(), tt.want) || strings.Contains(errs.String(), "exit code") {
			t.Errorf("%v: exit code %d\n%s", tt.args, code, errs.String())
		}
	}
}
