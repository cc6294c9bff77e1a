package runtime

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kasgen/internal/cli"
)

// kasgen runs a command of this room and returns its exit code and output.
func kasgen(t *testing.T, args ...string) (int, string, string) {
	t.Helper()
	var out, errs bytes.Buffer
	streams := cli.IO{Out: &out, Err: &errs}
	return cli.Run(t.Context(), cli.Root(streams, Commands(streams)...), args), out.String(), errs.String()
}

func TestUnits(t *testing.T) {
	t.Parallel()
	w := &world{t: t, dir: t.TempDir()}
	for name, text := range files {
		w.write(name, strings.ReplaceAll(text, "GITLAB", "https://gitlab.example.com"))
	}
	w.edit("haproxy/haproxy.cfg", "hard-stop-after 1s", "hard-stop-after 2m\n    maxconn 1000")
	code, out, errs := kasgen(t, "units", w.dir)
	if code != cli.Done || errs != "" {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	for _, want := range []string{
		"-- kasgen-edge.service --", "-- kasgen-front.service --", "-- kasgen-kas.service --", "-- kasgen.target --",
		"ExecStart=/usr/local/bin/kasgen run " + w.dir + " --role front\n",
		"TimeoutStopSec=2m15s\n", "TimeoutStopSec=16s\n", // front; edge and kas
		"LimitNOFILE=4750\n", // of 1,000 for haproxy and 500 for nginx
		"-- kasgen-front.socket --", "ListenStream=127.0.0.1:443\nListenStream=127.0.0.1:444\nListenStream=127.0.0.1:445\nListenStream=127.0.0.1:80\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	if n := strings.Count(out, "LimitNOFILE=4750\n"); n != 3 {
		t.Errorf("%d services have the front's connections, not 3", n)
	}
	_, again, _ := kasgen(t, "units", w.dir)
	if again != out {
		t.Error("the second time is not as the first")
	}

	to := t.TempDir()
	if code, out, _ := kasgen(t, "units", w.dir, "-o", to, "--check"); code != cli.Differences || !strings.Contains(out, "added   kasgen-kas.service\n") {
		t.Errorf("--check of nothing: %d\n%s", code, out)
	}
	if left, err := os.ReadDir(to); err != nil || len(left) > 0 {
		t.Errorf("--check has written %v, %v", left, err)
	}
	if code, _, errs := kasgen(t, "units", w.dir, "-o", to); code != cli.Done {
		t.Errorf("%d\n%s", code, errs)
	}
	if code, out, _ := kasgen(t, "units", w.dir, "-o", to, "--check"); code != cli.Done || out != to+" is up to date\n" {
		t.Errorf("--check of what was written: %d\n%s", code, out)
	}
	if err := os.WriteFile(filepath.Join(to, "kasgen.target"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if code, out, _ := kasgen(t, "units", w.dir, "-o", to); code != cli.Done || out != "changed kasgen.target\n" {
		t.Errorf("%d\n%s", code, out)
	}
	if code, out, _ := kasgen(t, "units", w.dir, "--one-process"); code != cli.Done ||
		!strings.Contains(out, "-- kasgen.service --") || !strings.Contains(out, " --role all\n") || strings.Contains(out, "kasgen-kas") {
		t.Errorf("--one-process: %d\n%s", code, out)
	}
}

// TestUnitsReload: where somebody else runs the front, a path unit has it read
// certificates again.
func TestUnitsReload(t *testing.T) {
	t.Parallel()
	dir := unpacked(t, "../generator/testdata/render/haproxy-terminate.txtar")
	code, out, errs := kasgen(t, "units", dir, "--reload", "/usr/bin/systemctl reload haproxy")
	for want, there := range map[string]bool{
		"-- kasgen-reload.path --": true, "PathChanged=/var/lib/kasgen/tls/kas.pem\n": true, "ExecStart=/usr/bin/systemctl reload haproxy\n": true,
		"Wants=kasgen-reload.path\n": true, "-- kasgen-edge.service --": true, "kasgen-front": false,
	} {
		if strings.Contains(out, want) != there {
			t.Errorf("%q is there: %t, want %t", want, !there, there)
		}
	}
	if code != cli.Done || errs != "" {
		t.Errorf("%d: %s", code, errs)
	}
	for name, args := range map[string][]string{
		"no whole path": {dir, "--reload", "systemctl reload haproxy"},
		"one process":   {dir, "--reload", "/bin/true", "--one-process"},
		"no TLS":        {unpacked(t, "../generator/testdata/render/default.txtar"), "--reload", "/bin/true"},
	} {
		if code, _, errs := kasgen(t, append([]string{"units"}, args...)...); code != cli.Misuse || !strings.Contains(errs, "--reload") {
			t.Errorf("%s: %d, %s", name, code, errs)
		}
	}
}

// TestUnitsStale makes the directory, and removes units of roles that are gone,
// of which those that others have written are none.
func TestUnitsStale(t *testing.T) {
	t.Parallel()
	w := &world{t: t, dir: t.TempDir()}
	for name, text := range files {
		w.write(name, strings.ReplaceAll(text, "GITLAB", "https://gitlab.example.com"))
	}
	to := filepath.Join(t.TempDir(), "etc/systemd/system")
	if code, out, _ := kasgen(t, "units", w.dir, "-o", to, "--check"); code != cli.Differences || !strings.Contains(out, "added   kasgen.target\n") {
		t.Errorf("--check of no directory: %d\n%s", code, out)
	}
	if _, err := os.Stat(to); !errors.Is(err, fs.ErrNotExist) {
		t.Error("--check has made the directory: ", err)
	}
	if code, _, errs := kasgen(t, "units", w.dir, "-o", to); code != cli.Done || errs != "" {
		t.Fatal(code, errs)
	}
	edge, err := os.ReadFile(filepath.Join(to, "kasgen-edge.service"))
	if err != nil {
		t.Fatal(err)
	}
	foreign := []string{"kasgen-backup.service", "kasgen-masked.service", "other.service", "kasgenerator.service", "kasgen-front.service.d"}
	for name, text := range map[string]string{foreign[0]: "[Unit]\n", foreign[2]: string(edge), foreign[3]: string(edge)} {
		if err := os.WriteFile(filepath.Join(to, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Symlink(filepath.Join(to, "kasgen-edge.service"), filepath.Join(to, foreign[1])), os.Mkdir(filepath.Join(to, foreign[4]), 0o700)); err != nil {
		t.Fatal(err)
	}
	const gone = "removed kasgen-edge.service\nremoved kasgen-front.service\nremoved kasgen-front.socket\nremoved kasgen-kas.service\n"
	if code, out, errs := kasgen(t, "units", w.dir, "-o", to, "--one-process", "--check"); code != cli.Differences || !strings.Contains(out, gone) || errs != "" {
		t.Errorf("--check: %d\n%s%s", code, out, errs)
	}
	if code, out, errs := kasgen(t, "units", w.dir, "-o", to, "--one-process"); code != cli.Done || !strings.Contains(out, gone) ||
		!strings.Contains(errs, "systemctl disable --now kasgen-edge.service kasgen-front.service kasgen-front.socket kasgen-kas.service\n") {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
	if code, out, _ := kasgen(t, "units", w.dir, "-o", to, "--one-process"); code != cli.Done || out != to+" is up to date\n" {
		t.Errorf("again: %d\n%s", code, out)
	}
	var left []string
	entries, err := os.ReadDir(to)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		left = append(left, e.Name())
	}
	want := append([]string{"kasgen.service", "kasgen.socket", "kasgen.sysusers.conf", "kasgen.target"}, foreign...)
	slices.Sort(want)
	if d := cmp.Diff(want, left); d != "" {
		t.Error(d)
	}
}

// TestUnitsRedis: GitLab's kas has a service of its own.
func TestUnitsRedis(t *testing.T) {
	t.Parallel()
	w := &world{t: t, dir: t.TempDir()}
	for name, text := range files {
		w.write(name, strings.ReplaceAll(text, "GITLAB", "https://gitlab.example.com"))
	}
	w.edit(kasFile, "observability:", "redis: {server: {address: \"127.0.0.1:6379\"}}\nobservability:")
	for _, tt := range []struct {
		args          []string
		code          int
		want, without string
	}{
		{nil, cli.Done, "no service for " + filepath.Join(w.dir, kasFile), "kasgen-kas"},
		{nil, cli.Done, "-- kasgen-edge.service --", "--registry"},
		{[]string{"--registry", "memory"}, cli.Done, " --role kas --registry memory\n", "--role edge --registry"},
		{[]string{"--one-process"}, cli.Failure, "KAS3003", "-- "},
		{[]string{"--one-process", "--registry", "memory"}, cli.Done, " --role all --registry memory\n", "no service"},
	} {
		code, out, errs := kasgen(t, append([]string{"units", w.dir}, tt.args...)...)
		if code != tt.code || !strings.Contains(out+errs, tt.want) || strings.Contains(out, tt.without) {
			t.Errorf("%v: exit code %d, want %d with %q and without %q\n%s%s", tt.args, code, tt.code, tt.want, tt.without, out, errs)
		}
	}
}

func TestUnitsFaults(t *testing.T) {
	t.Parallel()
	dir := frontOnly(t, "127.0.0.1:443", "127.0.0.1:1")
	for _, tt := range []struct {
		args []string
		code int
		say  string
	}{
		{[]string{filepath.Join(dir, "none")}, cli.Failure, "there is no directory"},
		{[]string{dir, "--binary", "kasgen"}, cli.Misuse, "absolute path"},
		{[]string{dir, "--user", "a b"}, cli.Misuse, "a user's name"},
		{[]string{dir, "--check"}, cli.Misuse, "name it with -o"},
		{[]string{dir, "-o", filepath.Join(dir, "haproxy/haproxy.cfg")}, cli.Failure, "writing units"},
	} {
		if code, _, errs := kasgen(t, append([]string{"units"}, tt.args...)...); code != tt.code || !strings.Contains(errs, tt.say) {
			t.Errorf("%v: %d %s", tt.args, code, errs)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "haproxy/haproxy.cfg"), []byte("x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := kasgen(t, "units", dir); code != cli.Failure || out != "" || !strings.Contains(errs, "KAS2") {
		t.Errorf("a broken file: %d %s%s", code, out, errs)
	}
}
