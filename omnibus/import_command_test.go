package omnibus

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"kasgen/internal/cli"
)

const shown = `Starting Chef
{"gitlab": {"external_url": "https://gitlab.example.com", "gitlab_kas_external_url": "wss://kas.gitlab.example.com",
 "gitlab-kas": {"enable": true, "api_secret_key": "c2VjcmV0", "sentry_dsn": "https://sentry.example.com"}}}
done
`

// TestImport reads what show-config prints from each place where it may lie.
func TestImport(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	file := filepath.Join(root, nodes, "here.json")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(shown), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{"root": {"--root", root}, "file": {"--settings", file}, "input": {"--settings", "-"}} {
		code, out, errs := runImport(t, args...)
		for _, want := range []string{"topology: packaged\n", "  # gitlab_kas_external_url\n  kas: kas.gitlab.example.com\n"} {
			if code != cli.Done || !strings.Contains(out, want) {
				t.Errorf("%s: exit code %d without %q\n%s%s", name, code, want, out, errs)
			}
		}
		if !strings.Contains(errs, "not kept: gitlab_kas['sentry_dsn']") || strings.Contains(out+errs, "c2VjcmV0") {
			t.Errorf("%s: %s", name, errs)
		}
	}
	code, out, _ := runImport(t, "--settings", file, "--format", "json")
	if code != cli.Done || !strings.Contains(out, `"key": "gitlab_kas['sentry_dsn']"`) {
		t.Errorf("%d %s", code, out)
	}
	if code, _, errs := runImport(t, "--root", t.TempDir()); code != cli.Failure || !strings.Contains(errs, "--settings") {
		t.Errorf("without settings: %d %s", code, errs)
	}
}

// TestImportSecondName finds a vhost for agents by gRPC in what nginx includes, below
// the folder that stands for the machine.
func TestImportSecondName(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	put(t, filepath.Join(root, nodes, "here.json"), `{"external_url": "https://gitlab.example.com", "gitlab_kas_external_url": "wss://kas.gitlab.example.com",
"gitlab_rails": {"gitlab_kas_external_url": "grpcs://kas-grpc.gitlab.example.com"}, "nginx": {"custom_nginx_config": "include /etc/gitlab/nginx/*.conf; include mine.conf;"},
"gitlab_kas": {"enable": true, "nginx": {"enable": true, "host": "kas.gitlab.example.com", "https": true, "port": 443}}}`)
	put(t, filepath.Join(root, "var/opt/gitlab/nginx/conf/mine.conf"), "# nothing\n")
	code, out, errs := runImport(t, "--root", root)
	if code != cli.Done || !strings.Contains(out, "topology: packaged\n") || !strings.Contains(errs, "warning: not kept: gitlab_rails['gitlab_kas_external_url']: ") {
		t.Errorf("without the vhost %d: %s\n%s", code, out, errs)
	}
	put(t, filepath.Join(root, "etc/gitlab/nginx/grpc.conf"), "server { listen 443 ssl; server_name kas-grpc.gitlab.example.com; location / { grpc_pass grpc://127.0.0.1:8150; } }\n")
	code, out, errs = runImport(t, "--root", root)
	if code != cli.Done || !strings.Contains(out, "topology: D\n") || !strings.Contains(out, "  # /etc/gitlab/nginx/grpc.conf:1\n  grpc: kas-grpc.gitlab.example.com\n") {
		t.Errorf("%d: %s\n%s", code, out, errs)
	}
}

// TestImportExisting: an instance that has its keys from a kasgen.yaml is described
// by that, whichever topology it is.
func TestImportExisting(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	alreadyInstalled(t, root)
	put(t, filepath.Join(root, nodes, "here.json"), shown)
	code, out, errs := runImport(t, "--root", root)
	if code != cli.Done || out != killedSpec || !strings.Contains(errs, "is printed as it is") {
		t.Errorf("%d: %s\n%s", code, out, errs)
	}
	if code, out, _ := runImport(t, "--root", root, "--format", "json"); code != cli.Done || !strings.Contains(out, "topology: A") {
		t.Errorf("in JSON %d: %s", code, out)
	}
	if code, out, _ := runImport(t, "--settings", filepath.Join(root, nodes, "here.json")); code != cli.Done || !strings.Contains(out, "topology: packaged\n") {
		t.Errorf("of the settings alone %d: %s", code, out)
	}
}

// TestImportVhost reads nginx's files, includes and all.
func TestImportVhost(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, filepath.Join(dir, "nginx.conf"), "http { include conf.d/*.conf; }\n")
	put(t, filepath.Join(dir, "conf.d/kas.conf"), `server { listen 443 ssl; server_name kas.gitlab.example.com; ssl_certificate /c; ssl_certificate_key /k; allow all;
location / { proxy_pass http://127.0.0.1:8150; } location /gitlab.agent. { grpc_pass 127.0.0.1:8150; } location /k8s-proxy/ { proxy_pass http://127.0.0.1:8154/; } }`)
	code, out, errs := runImport(t, "--vhost", filepath.Join(dir, "nginx.conf"), "--gitlab-url", "https://gitlab.example.com")
	if code != cli.Done || !strings.Contains(out, "topology: packaged\n") || !strings.Contains(errs, "conf.d/kas.conf:1: allow all: ") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	if code, _, errs := runImport(t, "--vhost", filepath.Join(dir, "none.conf"), "--gitlab-url", "https://gitlab.example.com"); code != cli.Failure {
		t.Errorf("a file that is not there: %d %s", code, errs)
	}
	if code, _, errs := runImport(t, "--vhost", "x"); code != cli.Misuse || !strings.Contains(errs, "gitlab-url") {
		t.Errorf("without GitLab's URL: %d %s", code, errs)
	}
}

func runImport(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	streams := cli.IO{In: strings.NewReader(shown), Out: &o, Err: &e}
	parent := &cobra.Command{Use: "import"}
	parent.AddCommand(Imports(streams)...)
	code = cli.Run(t.Context(), cli.Root(streams, parent), append([]string{"import", "omnibus"}, args...))
	return code, o.String(), e.String()
}
