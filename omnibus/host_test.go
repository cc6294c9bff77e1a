package omnibus_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"kasgen/generator"
	"kasgen/internal/cli"
	"kasgen/omnibus"
	"kasgen/omnibus/omnibustest"
	"kasgen/runtime"
)

func TestMain(m *testing.M) {
	if omnibus.Victim() {
		return
	}
	testscript.Main(m, map[string]func(){
		"kasgen": func() {
			streams := cli.IO{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}
			commands := append(generator.Commands(streams, omnibus.Target()), omnibus.Commands(streams)...)
			commands = append(commands, runtime.Commands(streams)...)
			imports := &cobra.Command{Use: "import"}
			imports.AddCommand(omnibus.Imports(streams)...)
			commands = append(commands, imports)
			os.Exit(cli.Run(context.Background(), cli.Root(streams, commands...), os.Args[1:]))
		},
	})
}

const (
	hostVersion = "18.11"
	gitlabRb    = "external_url 'https://gitlab.example.com'\nnginx['custom_nginx_config'] = 'include /mine;'" // no newline at its end
	hostSpec    = "apiVersion: kasgen/v1\ntopology: A\ngitlab: {url: https://gitlab.example.com}\nnames: {kas: kas.gitlab.example.com}\n"
)

// machine is a folder that stands for a host with a package of GitLab.
type machine struct {
	t      *testing.T
	root   string
	binary string // kasgen, which knows that its machine is the folder
	env    []string
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, root: t.TempDir()}
	omnibustest.Write(t, m.at("etc/gitlab/gitlab.rb"), gitlabRb)
	omnibustest.Write(t, m.at("opt/gitlab/embedded/service/gitlab-rails/VERSION"), hostVersion+".2-ee\n")
	if err := os.MkdirAll(m.at("opt/gitlab/bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(omnibustest.Standin(t), "gitlab-ctl"), m.at("opt/gitlab/bin/gitlab-ctl")); err != nil {
		t.Fatal(err)
	}
	// A program of the package's own test knows which command it is by its name.
	tools := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(tools, "kasgen")); err != nil {
		t.Fatal(err)
	}
	m.binary = filepath.Join(tools, "on-host")
	m.script("exec " + filepath.Join(tools, "kasgen") + ` "$@" --root ` + m.root + "\n")
	m.env = append(os.Environ(), "KASGEN_TEST_ROOT="+m.root, "KASGEN_TEST_VERSION="+hostVersion, "GORACE=atexit_sleep_ms=0")
	return m
}

// script makes the binary a shell script.
func (m *machine) script(text string) {
	m.t.Helper()
	// A new file: the old one may be running.
	if err := os.Remove(m.binary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.t.Fatal(err)
	}
	if err := os.WriteFile(m.binary, []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) at(name string) string { return filepath.Join(m.root, name) }

// run runs a program and gives its exit code and all that it printed.
func (m *machine) run(name string, args ...string) (int, string) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = m.env
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), out.String()
	}
	if err != nil {
		m.t.Fatalf("%s: %v", name, err)
	}
	return 0, out.String()
}

// kasgen runs it, and fails the test unless it ends with code.
func (m *machine) kasgen(code int, args ...string) string {
	m.t.Helper()
	got, out := m.run(m.binary, args...)
	if got != code {
		m.t.Fatalf("kasgen %s: exit code %d, want %d\n%s", strings.Join(args, " "), got, code, out)
	}
	return out
}

// ctl runs gitlab-ctl, and fails the test unless it ends with code.
func (m *machine) ctl(code int, args ...string) string {
	m.t.Helper()
	got, out := m.run(omnibustest.Ruby(m.t), append([]string{m.at("opt/gitlab/bin/gitlab-ctl")}, args...)...)
	if got != code {
		m.t.Fatalf("gitlab-ctl %s: exit code %d, want %d\n%s", strings.Join(args, " "), got, code, out)
	}
	return out
}

// tree is all that lies on the machine, with modes, but for what chef and
// gitlab-ctl leave.
func (m *machine) tree() map[string]string {
	m.t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(m.root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, m.root)
		if strings.HasPrefix(name, "/opt/gitlab/embedded/nodes") || name == "/hup" {
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		text := []byte{}
		if e.Type().IsRegular() {
			text, err = os.ReadFile(path)
		}
		found[name] = fmt.Sprint(info.Mode(), " ", string(text))
		return err
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return found
}

func (m *machine) spec(text string) string {
	m.t.Helper()
	path := filepath.Join(m.t.TempDir(), "kasgen.yaml")
	omnibustest.Write(m.t, path, text)
	return path
}

// TestFromPackagedToAAndBack installs, reconfigures twice, tries a kasgen.yaml
// with a fault, and uninstalls.
func TestFromPackagedToAAndBack(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	omnibustest.Ruby(t)
	before := m.tree()
	m.kasgen(0, "omnibus", "install", "-f", m.spec(hostSpec), "--yes", "--binary", m.binary)
	if out := m.kasgen(2, "omnibus", "status"); !strings.Contains(out, "in effect     no: changed since the last gitlab-ctl reconfigure") {
		t.Error(out)
	}
	placed := m.tree()
	out := m.ctl(0, "reconfigure")
	delete(placed, "/etc/gitlab/.kasgen.pending") // it is done now
	if d := cmp.Diff(placed, m.tree()); d != "" {
		t.Errorf("the first reconfigure changed what install had placed:\n%s", d)
	}
	if !strings.Contains(out, "GitLab's nginx was reloaded") {
		t.Errorf("the vhosts were not read: %s", out)
	}
	if out := m.kasgen(0, "omnibus", "status"); !strings.Contains(out, "in effect     yes") {
		t.Error(out)
	}
	node := omnibustest.Read(t, m.at("opt/gitlab/embedded/nodes/node.json"))
	if strings.Count(node, "kasgen begin") != 1 || !strings.Contains(node, "include /mine;") {
		t.Errorf("the user's text and ours, once each, are not in the node: %s", node)
	}

	installed := m.tree()
	if out := m.ctl(0, "reconfigure"); !strings.Contains(out, "nothing is to be changed") {
		t.Errorf("a second reconfigure found something to change: %s", out)
	}
	if d := cmp.Diff(installed, m.tree()); d != "" {
		t.Errorf("a second reconfigure changed something:\n%s", d)
	}
	if d := cmp.Diff(node, omnibustest.Read(t, m.at("opt/gitlab/embedded/nodes/node.json"))); d != "" {
		t.Errorf("Omnibus works with other settings now:\n%s", d)
	}
	if out := m.kasgen(0, "omnibus", "reconfigure"); !strings.Contains(out, "nothing is to be changed") {
		t.Error(out)
	}

	omnibustest.Write(t, m.at("etc/gitlab/kasgen.yaml"), strings.Replace(hostSpec, "topology: A", "topology: A\nloadBalancer: {kind: external-http}\ntls: {source: omnibus}", 1))
	out = m.ctl(8, "reconfigure")
	for _, want := range []string{"KAS1502", "reconfigure is stopped, nothing was changed"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in %s", want, out)
		}
	}
	omnibustest.Write(t, m.at("etc/gitlab/kasgen.yaml"), hostSpec)
	if d := cmp.Diff(installed, m.tree()); d != "" {
		t.Errorf("a kasgen.yaml with a fault changed something:\n%s", d)
	}

	write := func(spec string) { omnibustest.Write(t, m.at("etc/gitlab/kasgen.yaml"), spec) }
	write(hostSpec + "timeouts: {idle: 3h}\n")
	for _, command := range []string{"reconfigure --check", "diff"} {
		if out := m.kasgen(2, append([]string{"omnibus"}, strings.Fields(command)...)...); !strings.Contains(out, "haproxy.cfg") {
			t.Errorf("%s: %s", command, out)
		}
	}
	if d := cmp.Diff(installed["/etc/gitlab/kasgen/haproxy/haproxy.cfg"], m.tree()["/etc/gitlab/kasgen/haproxy/haproxy.cfg"]); d != "" {
		t.Errorf("--check or diff has written:\n%s", d)
	}
	out = m.kasgen(0, "omnibus", "reconfigure")
	for _, want := range []string{"haproxy/haproxy.cfg  reload", "agents that reconnect:", "services of systemd are left alone below --root"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in %s", want, out)
		}
	}
	write(hostSpec + "agents: {websocket: remove}\n")
	if out := m.kasgen(0, "omnibus", "reconfigure"); !strings.Contains(out, "GitLab's kas, by gitlab-ctl reconfigure: gitlab_kas['listen_websocket']") || !strings.Contains(out, "run gitlab-ctl reconfigure") {
		t.Error(out)
	}
	write(hostSpec)

	m.kasgen(0, "omnibus", "uninstall")
	if d := cmp.Diff(before, m.tree()); d != "" {
		t.Errorf("after install and uninstall something is different:\n%s", d)
	}
	if out := m.kasgen(0, "omnibus", "uninstall"); !strings.Contains(out, "nothing is installed") {
		t.Error(out)
	}
	m.ctl(0, "reconfigure")
	if node := omnibustest.Read(t, m.at("opt/gitlab/embedded/nodes/node.json")); strings.Contains(node, "kasgen") {
		t.Errorf("Omnibus's settings still know kasgen: %s", node)
	}
}
