package omnibus_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kasgen/omnibus/omnibustest"
)

// TestExtensionNeverBreaks gives gitlab-ctl a kasgen that is not there, that
// crashes, that takes too long, that is refused, and an extension that cannot be
// read: only one of them may stop a reconfigure, and none another command.
func TestExtensionNeverBreaks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		script string // of the binary; empty: it is not there
		code   int    // of gitlab-ctl reconfigure
		said   string
	}{
		"works":           {"exit 0\n", 0, ""},
		"refuses":         {"echo the reason; exit 86\n", 8, "reconfigure is stopped"},
		"a failure":       {"exit 1\n", 0, "kasgen: it failed with exit code 1, and is left out"},
		"a panic":         {"exit 2\n", 0, "kasgen: it failed with exit code 2, and is left out"},
		"killed":          {"kill -9 $$\n", 0, "it ended by signal 9"},
		"missing":         {"", 0, "it cannot be run, and is left out"},
		"too slow":        {"sleep 600 & sleep 600\n", 0, "it takes longer than 1 s, and is left out"},
		"reads its input": {"cat; exit 0\n", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			omnibustest.Ruby(t)
			m := newMachine(t)
			m.kasgen(0, "omnibus", "install", "-f", m.spec(hostSpec), "--yes", "--binary", m.binary)
			file := m.at("opt/gitlab/embedded/service/omnibus-ctl-kasgen/kasgen.rb")
			if name == "too slow" {
				short := strings.NewReplacer(", 90)", ", 1)", " recover], 20)", " recover], 1)").Replace(omnibustest.Read(t, file))
				omnibustest.Write(t, file, short)
			}
			called := filepath.Join(t.TempDir(), "called")
			if c.script == "" {
				if err := os.Remove(m.binary); err != nil {
					t.Fatal(err)
				}
			} else {
				m.script("echo \"$*\" >> " + called + "\n" + c.script)
			}
			begun := time.Now()
			if out := m.ctl(c.code, "reconfigure"); !strings.Contains(out, c.said) {
				t.Errorf("%q is not in %s", c.said, out)
			}
			if ended := slices.Contains([]string{"a failure", "a panic", "killed", "too slow"}, name); c.script != "" && strings.Contains(omnibustest.Read(t, called), "--hook recover") != ended {
				t.Errorf("what it has left was put back: %v, want %v", !ended, ended)
			}
			if took := time.Since(begun); took > time.Minute {
				t.Errorf("it took %v", took)
			}
			if out := m.ctl(0, "status"); !strings.Contains(out, "run: gitlab-kas") {
				t.Error(out)
			}
		})
	}
}

// TestExtensionThatCannotBeRead: whatever is wrong with what the file finds in
// gitlab-ctl is said, and the command goes on.
func TestExtensionThatCannotBeRead(t *testing.T) {
	t.Parallel()
	omnibustest.Ruby(t)
	m := newMachine(t)
	m.kasgen(0, "omnibus", "install", "-f", m.spec(hostSpec), "--yes", "--binary", m.binary)
	// A gitlab-ctl in which nothing is as it was.
	loader := omnibustest.Read(t, m.at("opt/gitlab/bin/gitlab-ctl"))
	if err := os.Remove(m.at("opt/gitlab/bin/gitlab-ctl")); err != nil {
		t.Fatal(err)
	}
	omnibustest.Write(t, m.at("opt/gitlab/bin/gitlab-ctl"), strings.Replace(loader, "def add_command_under_category(", "def another(", 1))
	if out := m.ctl(0, "status"); !strings.Contains(out, "its extension of gitlab-ctl does not work, and is left out: NoMethodError") || !strings.Contains(out, "run: gitlab-kas") {
		t.Error(out)
	}
}

// TestHooksOfOthers: those that were there before are called, and refuse.
func TestHooksOfOthers(t *testing.T) {
	t.Parallel()
	omnibustest.Ruby(t)
	m := newMachine(t)
	m.kasgen(0, "omnibus", "install", "-f", m.spec(hostSpec), "--yes", "--binary", m.binary)
	theirs := m.at("opt/gitlab/embedded/service/omnibus-ctl-ee/theirs.rb")
	omnibustest.Write(t, theirs, "def reconfigure_pre_hook; puts 'theirs before'; true; end\ndef reconfigure_post_hook; puts 'theirs after'; end\n")
	if out := m.ctl(0, "reconfigure"); !strings.Contains(out, "theirs before") || !strings.Contains(out, "theirs after") {
		t.Error(out)
	}
	omnibustest.Write(t, theirs, "def reconfigure_pre_hook; puts 'theirs refuses'; false; end\n")
	if out := m.ctl(8, "reconfigure"); !strings.Contains(out, "theirs refuses") || strings.Contains(out, "kasgen") {
		t.Error(out)
	}
}

// TestChefFails: nothing is reloaded then, and it is the next reconfigure that
// does it.
func TestChefFails(t *testing.T) {
	t.Parallel()
	omnibustest.Ruby(t)
	m := newMachine(t)
	m.kasgen(0, "omnibus", "install", "-f", m.spec(hostSpec), "--yes", "--binary", m.binary)
	env := m.env
	m.env = append(env, "KASGEN_TEST_CHEF_FAILS=1")
	if out := m.ctl(1, "reconfigure"); !strings.Contains(out, "nothing was reloaded") {
		t.Error(out)
	}
	if _, err := os.Stat(m.at("hup")); err == nil {
		t.Error("nginx was reloaded")
	}
	m.env = env
	m.ctl(0, "reconfigure")
	if got := omnibustest.Read(t, m.at("hup")); got != "nginx\n" {
		t.Errorf("reloaded: %q", got)
	}
	m.ctl(0, "reconfigure")
	if got := omnibustest.Read(t, m.at("hup")); got != "nginx\n" {
		t.Errorf("reloaded without need: %q", got)
	}
}

// TestProbeOfGitLabCtl: probe reaches the binary, with what was said behind it
// and with its exit code.
func TestProbeOfGitLabCtl(t *testing.T) {
	t.Parallel()
	omnibustest.Ruby(t)
	m := newMachine(t)
	m.kasgen(0, "omnibus", "install", "-f", m.spec(hostSpec), "--yes", "--binary", m.binary)
	m.script("echo \"asked: $*\"; exit 1\n")
	if out := m.ctl(1, "kasgen", "probe", "--idle"); !strings.Contains(out, "asked: probe --bundle /etc/gitlab/kasgen --idle\n") {
		t.Error(out)
	}
}

// TestCommandsOfGitLabCtl: status and render reach the binary.
func TestCommandsOfGitLabCtl(t *testing.T) {
	t.Parallel()
	omnibustest.Ruby(t)
	m := newMachine(t)
	m.kasgen(0, "omnibus", "install", "-f", m.spec(hostSpec), "--yes", "--binary", m.binary)
	m.ctl(0, "reconfigure")
	if out := m.ctl(0, "kasgen", "status"); !strings.Contains(out, "in effect     yes") {
		t.Error(out)
	}
	if out := m.ctl(0, "kasgen", "render"); !strings.Contains(out, "nothing is to be changed") {
		t.Error(out)
	}
	omnibustest.Write(t, m.at("etc/gitlab/kasgen.yaml"), hostSpec+"timeouts: {idle: 3h}\n")
	if out := m.ctl(0, "kasgen", "render"); !strings.Contains(out, "changed /etc/gitlab/kasgen/haproxy/haproxy.cfg") || strings.Contains(out, "reloaded") {
		t.Error(out)
	}
	if !strings.Contains(omnibustest.Read(t, m.at("etc/gitlab/kasgen/haproxy/haproxy.cfg")), "timeout client 3h") || !strings.Contains(omnibustest.Read(t, m.at("etc/gitlab/.kasgen.pending")), "haproxy") {
		t.Error("nothing was rendered, or nobody would read it")
	}
	if out := m.ctl(1, "kasgen", "sing"); !strings.Contains(out, "usage: gitlab-ctl kasgen") {
		t.Error(out)
	}
	if err := os.Remove(filepath.Join(m.root, "etc/gitlab/kasgen/kasgen.rb")); err != nil {
		t.Fatal(err)
	}
	if out := m.ctl(2, "kasgen", "status"); !strings.Contains(out, "files         no") {
		t.Error(out)
	}
}
