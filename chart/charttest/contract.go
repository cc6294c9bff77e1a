// Package charttest has a chart that keeps the contract which kasgen relies on:
// the structure, the keys and the traps of GitLab's umbrella chart as far as kas
// is concerned, by version. It is written for these tests and is not the chart.
package charttest

import (
	"embed"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

//go:embed all:testdata/contract
var contract embed.FS

//go:embed testdata/models.yaml
var models []byte

// Models are definitions of kinds of providers, as far as the extras use them:
// models for an API server that should look at such objects.
func Models() []byte { return slices.Clone(models) }

// layers are what a version is made of, each over the ones before it.
func layers(version string) []string {
	all := []string{"base", "9.9", "10.4"}
	switch version {
	case "9.1":
		return all[:1]
	case "9.9":
		return all[:2]
	default:
		return all
	}
}

// Files are the chart's of a version: 9.1, 9.9 or 10.4.
func Files(version string) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, layer := range layers(version) {
		root := "testdata/contract/" + layer
		err := fs.WalkDir(contract, root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			data, err := contract.ReadFile(path)
			if filepath.Base(path) == "Chart.yaml" {
				data = []byte(strings.Replace(string(data), "version: 9.1.1", "version: "+version+".1", 1))
			}
			files[strings.TrimPrefix(path, root+"/")] = data
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return files, nil
}

// Dir writes the chart of a version into a directory of the test.
func Dir(t testing.TB, version string) string {
	t.Helper()
	files, err := Files(version)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "gitlab")
	for path, data := range files {
		to := filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(to, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// Versions are those that there is a chart of.
func Versions() []string { return slices.Clone([]string{"9.1", "9.9", "10.4"}) }
