// Package lockfile owns kasgen.lock.yaml, the manifest of a bundle: the types,
// the strict reader, the writer and the comparison with a directory. It does
// not know what the files mean. Its law: a bundle is exactly the files that
// its manifest lists, byte for byte, and a manifest never names a file outside
// its directory.
package lockfile

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"kasgen/internal/certsconf"
	"kasgen/internal/strictyaml"
)

// Name is the manifest's name in a bundle.
const Name = "kasgen.lock.yaml"

// What File.APIVersion and File.Kind must say.
const (
	APIVersion = "kasgen/v1"
	Kind       = "Lock"
)

// The codes of faults in a kasgen.lock.yaml.
const (
	CodeKind   = "KAS1301" // another format or version
	CodeEntry  = "KAS1302" // an entry that kasgen does not write
	CodeDouble = "KAS1303" // a file listed twice
)

// File is a whole kasgen.lock.yaml.
type File struct {
	APIVersion  string        `json:"apiVersion"` // APIVersion
	Kind        string        `json:"kind"`       // Kind
	Kasgen      string        `json:"kasgen"`     // version of kasgen that wrote the bundle
	Topology    string        `json:"topology"`
	SpecDigest  string        `json:"specDigest"`        // sha256 of the spec with every default filled in
	StateDir    string        `json:"stateDir"`          // where certificates and secrets lie
	Names       *Names        `json:"names,omitempty"`   // nil in bundles of older versions
	Carries     *Carries      `json:"carries,omitempty"` // nil in bundles of older versions
	Development []Development `json:"development"`
	// Certificates is nil where the programs of the front end no TLS with files
	// of somebody else's.
	Certificates *Certificates `json:"certificates,omitempty"`
	Files        []Entry       `json:"files"` // sorted by path
}

// Certificates is about those that lie in files by somebody else's doing and
// that nginx or HAProxy end TLS with, which they read again when the files
// change.
type Certificates struct {
	// Drain is how long streams live on at a stop. In the programs' own files
	// that limit would hold for what a reload leaves behind too.
	Drain certsconf.Duration `json:"drain"`
	// Combined are files that are made of others, for HAProxy.
	Combined []Combined `json:"combined,omitempty"`
}

// Combined is a file that holds a certificate and its key.
type Combined struct {
	CertificateFile string `json:"certificateFile"` // PEM, with its chain
	KeyFile         string `json:"keyFile"`         // PEM
	CombinedFile    string `json:"combinedFile"`    // both
}

// Development is a file under StateDir that may be made when it is missing.
type Development struct {
	Path  string          `json:"path"` // absolute
	Kind  DevelopmentKind `json:"kind"`
	Names []string        `json:"names"` // of a certificate
}

// DevelopmentKind says what a development file holds.
type DevelopmentKind string

// The kinds of development files.
const (
	Secret          DevelopmentKind = "secret"          // base64 of 32 bytes
	WebsocketSecret DevelopmentKind = "websocketSecret" // base64 of 72 bytes
	CA              DevelopmentKind = "ca"              // certificate of the development CA; its key lies beside it
	Certificate     DevelopmentKind = "certificate"     // certificate for Names; key and combined form lie beside it
)

// Entry is one file of the bundle.
type Entry struct {
	Path   string `json:"path"` // relative, with slashes
	Mode   Mode   `json:"mode"`
	SHA256 string `json:"sha256"` // of the content, in hex
}

// Mode is a file's permission bits, written in octal.
type Mode fs.FileMode

// MarshalText writes four octal digits.
func (m Mode) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%04o", uint32(m)), nil }

// UnmarshalText reads octal permission bits.
func (m *Mode) UnmarshalText(text []byte) error {
	n, err := strconv.ParseUint(string(text), 8, 32)
	if err != nil || n > 0o777 {
		return &strictyaml.ValueError{What: "a mode is octal permission bits", Fix: `write it like "0644"`}
	}
	*m = Mode(n)
	return nil
}

// Digest is the sha256 of data in hex.
func Digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Read parses a manifest. name is the file's name for findings. The error,
// where there is one, is a diag.Findings with every fault.
func Read(name string, data []byte) (*File, error) {
	return strictyaml.Read(name, data, check)
}

// Write is the canonical text of f.
func Write(f *File) []byte {
	sorted := *f
	sorted.Files = slices.SortedFunc(slices.Values(f.Files), func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
	return strictyaml.Encode(sorted, map[string]string{
		"":        "The manifest of this bundle, written by kasgen; `kasgen render --check` compares.",
		"names":   "Host names of kas, and the listeners of this bundle that their clients reach.",
		"carries": "What passes: yes; refused, with an answer that says why; no, it does not arrive.",
		"development": "Files that `kasgen run` may make when they are missing. Secrets and keys are\n" +
			"never part of a bundle.",
		"certificates": "Certificates of somebody else's in files that programs of the front read: how long\n" +
			"streams live on at a stop, and what `kasgen run` puts together for HAProxy.",
	})
}

var digest = regexp.MustCompile(`^[0-9a-f]{64}$`)

// checker looks at the values of a manifest that has the right form.
type checker struct{ *strictyaml.Checker }

func (c checker) add(code, field, what, why string) {
	c.Add(code, field, what, why, "write the bundle again with `kasgen render`")
}

func check(sc *strictyaml.Checker, f *File) {
	c := checker{sc}
	add := c.add
	c.names(f)
	if f.APIVersion != APIVersion {
		add(CodeKind, "apiVersion", fmt.Sprintf("apiVersion is %q", f.APIVersion), "this kasgen reads "+APIVersion)
	}
	if f.Kind != Kind {
		add(CodeKind, "kind", fmt.Sprintf("kind is %q", f.Kind), "a manifest is of kind "+Kind)
	}
	if !filepath.IsAbs(f.StateDir) {
		add(CodeEntry, "stateDir", fmt.Sprintf("stateDir is %q", f.StateDir), "it must be an absolute path")
	}
	for i, d := range f.Development {
		at := fmt.Sprintf("development[%d]", i)
		if !under(f.StateDir, d.Path) {
			add(CodeEntry, at+".path", fmt.Sprintf("%s.path is %q", at, d.Path), "files are made only below stateDir")
		}
		if !slices.Contains([]DevelopmentKind{Secret, WebsocketSecret, CA, Certificate}, d.Kind) {
			add(CodeEntry, at+".kind", fmt.Sprintf("%s.kind is %q", at, string(d.Kind)), "it is secret, websocketSecret, ca or certificate")
		}
	}
	if f.Certificates != nil {
		for i, m := range f.Certificates.Combined {
			at := fmt.Sprintf("certificates.combined[%d]", i)
			for key, path := range map[string]string{"certificateFile": m.CertificateFile, "keyFile": m.KeyFile, "combinedFile": m.CombinedFile} {
				if !filepath.IsAbs(path) {
					add(CodeEntry, at+"."+key, fmt.Sprintf("%s.%s is %q", at, key, path), "it must be an absolute path")
				}
			}
		}
	}
	seen := map[string]bool{}
	for i, e := range f.Files {
		at := fmt.Sprintf("files[%d]", i)
		if !filepath.IsLocal(e.Path) || filepath.ToSlash(filepath.Clean(e.Path)) != e.Path || e.Path == Name {
			add(CodeEntry, at+".path", fmt.Sprintf("%s.path is %q", at, e.Path), "it must name a file below the bundle's directory")
		}
		if seen[e.Path] {
			add(CodeDouble, at+".path", fmt.Sprintf("%s.path is %q, as in an entry above", at, e.Path), "a file has one content")
		}
		seen[e.Path] = true
		if !digest.MatchString(e.SHA256) {
			add(CodeEntry, at+".sha256", fmt.Sprintf("%s.sha256 is %q", at, e.SHA256), "it must be 64 hexadecimal digits")
		}
	}
}

func under(dir, path string) bool {
	rest, ok := strings.CutPrefix(path, strings.TrimSuffix(dir, "/")+"/")
	return ok && filepath.Clean(path) == path && rest != ""
}
