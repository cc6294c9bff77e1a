package chart

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kasgen/chart/charttest"
	"kasgen/chart/engine"
	"kasgen/internal/cli"
)

// BenchmarkVerify is what a CI job waits for: a packaged chart of the umbrella's
// size, loaded, rendered twice, read and proved, extras included.
func BenchmarkVerify(b *testing.B) {
	files, err := charttest.Large(13, 100)
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	tgz, values := filepath.Join(dir, "gitlab.tgz"), filepath.Join(dir, "values.yaml")
	if err := engine.Pack("gitlab", tgz, files); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(values, []byte(base), 0o600); err != nil {
		b.Fatal(err)
	}
	objects := 0
	for b.Loop() {
		var out, errs bytes.Buffer
		streams := cli.IO{In: strings.NewReader(""), Out: &out, Err: &errs}
		code := cli.Run(b.Context(), cli.Root(streams, Commands(streams)...),
			[]string{"chart", "verify", "--topology=B", "--extras", "--issuer=letsencrypt", "--chart", tgz, "-f", values})
		if code != cli.Done {
			b.Fatal(code, errs.String())
		}
		i := strings.LastIndex(out.String(), "\n"+lastLine(out.String()))
		if _, err := fmt.Sscanf(out.String()[i+1:], "%d objects", &objects); err != nil || objects < 100 {
			b.Fatalf("%v\n%s", err, out.String())
		}
	}
	b.ReportMetric(float64(objects), "objects")
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/verify")
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
