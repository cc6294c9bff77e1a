package haproxy

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"kasgen/internal/diag"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestFindings compares every finding, reason and fix of a faulty file.
func TestFindings(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			in := a.Files[0]
			c, err := Load(in.Name, in.Data)
			var fs diag.Findings
			if err == nil {
				fs = c.Warnings()
			} else if !errors.As(err, &fs) {
				t.Fatalf("the error is no finding: %v", err)
			}
			var got strings.Builder
			if err := fs.WriteText(&got); err != nil {
				t.Fatal(err)
			}
			if *update {
				a.Files = []txtar.File{in, {Name: "findings", Data: []byte(got.String())}}
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if len(a.Files) != 2 {
				t.Fatal("the golden file lacks its findings: run with -update")
			}
			if diff := cmp.Diff(string(a.Files[1].Data), got.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestBindsAndFiles(t *testing.T) {
	t.Parallel()
	c, err := Load("h", []byte(head+`frontend f
 bind *:443,127.0.0.1:8443 ssl crt /a.pem crt /b.pem
 bind :::80
 default_backend b
backend b
 server s [::1]:1 ssl verify required ca-file /ca.pem
 server d ::1:2 ssl verify required ca-file @system-ca
`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"0.0.0.0:443", "127.0.0.1:8443", "[::]:80"}, c.Binds()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"/a.pem", "/b.pem", "/ca.pem"}, c.Files()); diff != "" {
		t.Error(diff)
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]time.Duration{
		"0": 0, "5": 5 * time.Millisecond, "5ms": 5 * time.Millisecond, "3s": 3 * time.Second, "2m": 2 * time.Minute,
		"1h": time.Hour, "1d": 24 * time.Hour, "1500us": 1500 * time.Microsecond, "10us": time.Millisecond,
	} {
		if got, err := parseDuration(in); err != nil || got != want {
			t.Errorf("%s: %v, %v, want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "s", "1x", "-1", "1.5s", "1 s", "25d", "99999999999999999999"} {
		if got, err := parseDuration(in); err == nil {
			t.Errorf("%q is %v, want an error", in, got)
		}
	}
}

// TestTruth is HAProxy's three-valued logic.
func TestTruth(t *testing.T) {
	t.Parallel()
	for in, want := range map[result]result{pass: fail, fail: pass, miss: miss} {
		if got := in.not(); got != want {
			t.Errorf("not %d is %d, want %d", in, got, want)
		}
	}
	if pass|miss != pass || miss|fail != miss || pass&miss != miss || miss&fail != fail {
		t.Error("OR and AND do not work bitwise")
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(head + "frontend f\n bind :80 ssl crt a alpn h2\n acl a req.len gt 0\n tcp-request content accept if !a or { src 10.0.0.0/8 }\n use_backend b if a\n default_backend b\nbackend b\n server s 1.2.3.4:5 check\n"))
	f.Add([]byte("defaults x\ndefaults y from x\nlisten l from y\n bind a:b,\n use_backend l unless { req.payload(,\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if c, err := Load("h", data); err == nil {
			_, _ = c.Binds(), c.Files()
		}
	})
}
