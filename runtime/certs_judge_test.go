package runtime

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kasgen/internal/cli"
	"kasgen/internal/lockfile"
	"kasgen/runtime/certs"
	"kasgen/runtime/certs/streamtest"
)

// TestRenewUnderLoad has `kasgen certs renew` three times, from another process'
// point of view, below 200 upgraded streams that carry data all the while: by
// the edge that obtains, and by HAProxy and nginx that read files.
func TestRenewUnderLoad(t *testing.T) {
	t.Parallel()
	for _, golden := range []string{"acme.txtar", "acme-terminate.txtar", "D-acme.txtar"} {
		t.Run(strings.TrimSuffix(golden, ".txtar"), func(t *testing.T) {
			t.Parallel()
			s := newStreet(t, golden)
			begin := time.Now()
			s.run()
			seen := []string{s.serial("kas.example.com")}
			first := time.Since(begin)
			const n = 200
			all := streamtest.Open(t, n, s.tls.addr(), "/k8s-proxy/exec", s.client("kas.example.com"))
			for range 3 {
				code, out, errs := kasgen(t, "certs", "renew", s.dir, "--state", s.state)
				if code != cli.Done || !strings.Contains(out, "Pebble") {
					t.Fatalf("renewing: %d\n%s%s", code, out, errs)
				}
				if strings.Contains(out+errs, "PRIVATE") {
					t.Error("a key was printed")
				}
				seen = append(seen, s.serial("kas.example.com", seen...))
			}
			lines := all.Lines()
			lost := all.Close()
			t.Logf("first certificate after %.1f s; 3 renewals in %d orders; %d of %d streams lost, which carried %d lines meanwhile", first.Seconds(), s.ca.Orders()-1, len(lost), n, lines)
			if len(lost) != 0 || s.ca.Orders() != 4 || lines < n {
				t.Errorf("%d streams lost, %d orders, %d lines: %v", len(lost), s.ca.Orders(), lines, lost)
			}
			s.command()
		})
	}
}

// command looks at what the other commands make of a bundle that runs.
func (s *street) command() {
	t := s.t
	t.Helper()
	code, out, errs := kasgen(t, "certs", "status", s.dir, "--state", s.state, "--format", "json")
	var status struct{ Certificates []certs.Status }
	if err := json.Unmarshal([]byte(out), &status); err != nil || code != cli.Done {
		t.Fatalf("status: %d, %v\n%s%s", code, err, out, errs)
	}
	for _, c := range status.Certificates {
		if c.Source == "acme" && (!c.Ready(time.Now()) || c.Renewal.IsZero() || !strings.Contains(c.Issuer, "Pebble")) {
			t.Errorf("the status says %+v", c)
		}
	}
	if !slices.ContainsFunc(status.Certificates, func(c certs.Status) bool { return c.Source == "acme" }) {
		t.Errorf("the status knows nothing of a CA: %s", out)
	}
	_, out, _ = kasgen(t, "certs", "status", s.dir, "--state", s.state)
	rows := strings.Split(out, "\n")
	for _, c := range status.Certificates {
		row := slices.IndexFunc(rows, func(row string) bool { return strings.HasPrefix(row, c.ID+" ") })
		if row < 0 || !strings.HasSuffix(rows[0], "RENEWAL") {
			t.Errorf("no row of %s, or no column of its renewal:\n%s", c.ID, out)
			continue
		}
		fields := strings.Fields(rows[row])
		want := "-"
		if !c.Renewal.IsZero() {
			want = c.Renewal.UTC().Format(time.RFC3339)
		}
		if got := fields[len(fields)-1]; got != want || c.Source == "acme" && got == "-" {
			t.Errorf("the renewal of %s is given as %s, want %s:\n%s", c.ID, got, want, out)
		}
	}
	to := filepath.Join(t.TempDir(), "out")
	for _, want := range []string{"written", "as it was"} {
		if code, out, errs = kasgen(t, "certs", "export", s.dir, to, "--state", s.state); code != cli.Done || !strings.Contains(out, want) {
			t.Errorf("export: %d, want %q\n%s%s", code, want, out, errs)
		}
	}
	for _, file := range []string{"kas.example.com.crt", "kas.example.com.key", "kas.example.com.pem"} {
		if info, err := os.Stat(filepath.Join(to, file)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v, want mode 0600", file, info, err)
		}
	}
	// What is there and not due is left alone.
	before := s.ca.Orders()
	if code, out, errs = kasgen(t, "certs", "issue", s.dir, "--state", s.state); code != cli.Done || s.ca.Orders() != before {
		t.Errorf("issue: %d, %d orders more\n%s%s", code, s.ca.Orders()-before, out, errs)
	}
}

// TestCertificateOfReplicas runs a bundle twice behind one balancer: one order, and whichever
// process the CA meets has the answer.
func TestCertificateOfReplicas(t *testing.T) {
	t.Parallel()
	for _, golden := range []string{"acme.txtar", "acme-terminate.txtar"} { // tls-alpn-01 and http-01
		t.Run(strings.TrimSuffix(golden, ".txtar"), func(t *testing.T) {
			t.Parallel()
			s := newStreet(t, golden)
			s.run()
			s.run()
			ready := func() bool {
				for _, st := range s.status() {
					if !st.Ready(time.Now()) {
						return false
					}
				}
				return true
			}
			for end := time.Now().Add(time.Minute); !ready(); time.Sleep(20 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("not both have a certificate: %+v", s.status())
				}
			}
			if a, b := s.serial("kas.example.com"), s.serial("kas.example.com"); a != b {
				t.Errorf("the processes show %s and %s", a, b)
			}
			// The CA looks from several places, and so met both.
			had := s.tls.had()
			if golden == "acme-terminate.txtar" {
				had = s.web.had()
			}
			if n := s.ca.Orders(); n != 1 || slices.Min(had) == 0 {
				t.Errorf("%d orders, want 1; the processes had %v connections", n, had)
			}
		})
	}
}

// TestRehearsal issues with --dry-run: nothing is left, and a bundle whose way
// is broken is found out.
func TestRehearsal(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		golden, file, old, new string
		code                   int
		want                   string
	}{
		{"acme.txtar", "", "", "", cli.Done, "clients of kas.example.com get it"},
		{"B-acme-alpn.txtar", "", "", "", cli.Done, "clients of kas-grpc.example.com get it"},
		{"D-acme.txtar", "", "", "", cli.Done, "clients of kas-grpc.example.com get it"},
		{"acme.txtar", "*", "0.0.0.0:443", "0.0.0.0:8443", cli.Done, "KAS1710: tls-alpn-01 is answered at 0.0.0.0:8443"},
		{"default.txtar", "", "", "", cli.Failure, "KAS3304"},
		{"acme-own.txtar", "", "", "", cli.Failure, "cache.key: no such file"},
		{"acme.txtar", edgeFile, "- kas.example.com", "- other.example.com", cli.Failure, "unrecognized name"},
		{"D-acme.txtar", webFile, "/.well-known/acme-challenge/", "/.well-known/elsewhere", cli.Failure, "KAS3305"}, // port 80 does not hand it on
	} {
		t.Run(tt.golden+tt.file, func(t *testing.T) {
			t.Parallel()
			dir := unpacked(t, "../generator/testdata/render/"+tt.golden)
			files := []string{tt.file}
			switch tt.file {
			case "":
				files = nil
			case "*":
				files = []string{haproxyFile, lockfile.Name}
			}
			for _, file := range files {
				path := filepath.Join(dir, file)
				text, err := os.ReadFile(path)
				if err != nil || !strings.Contains(string(text), tt.old) {
					t.Fatalf("nothing to replace: %v", err)
				}
				if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(text), tt.old, tt.new)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			state := t.TempDir()
			code, out, errs := kasgen(t, "certs", "issue", "--dry-run", dir, "--state", state)
			if code != tt.code || !strings.Contains(out+errs, tt.want) {
				t.Errorf("%d, want %d and %q\n%s%s", code, tt.code, tt.want, out, errs)
			}
			if left, err := os.ReadDir(state); err != nil || len(left) != 0 {
				t.Errorf("a rehearsal has left %v, %v", left, err)
			}
		})
	}
}

// TestCertsStatusBefore: a bundle that has not run yet.
func TestCertsStatusBefore(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	code, out, errs := kasgen(t, "certs", "status", unpacked(t, "../generator/testdata/render/acme.txtar"), "--state", state)
	if code != cli.Failure || !strings.Contains(errs, "none has been obtained yet") || !strings.Contains(out, "acme") {
		t.Errorf("%d\n%s%s", code, out, errs)
	}
	if left, err := os.ReadDir(state); err != nil || len(left) != 0 {
		t.Errorf("asking has made %v, %v", left, err)
	}
}
