// Package engine renders Helm charts, offline and without a cluster. It is the
// one place that knows Helm's library. It knows no chart and judges no object.
// Its law: what it renders is what `helm template` would, or an error.
package engine

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
)

// Chart is one that was loaded, with its sub-charts.
type Chart struct {
	files []*loader.BufferedFile
	chart *chart.Chart
}

// Release is what a chart is rendered for.
type Release struct {
	Name, Namespace string
	KubeVersion     string   // empty: what Helm takes for usual
	APIVersions     []string // that the cluster has beside Kubernetes' own
}

// File is a rendered template.
type File struct {
	Name string // of the template, sub-charts above it
	Text string
}

// Load reads a directory, but what its .helmignore names, or a packaged chart.
func Load(name string) (*Chart, error) {
	if err := isChart(name); err != nil {
		return nil, err
	}
	loaded, err := loader.Load(name)
	if err != nil {
		return nil, fmt.Errorf("loading the chart %s: %w", name, err)
	}
	var files []*loader.BufferedFile
	for _, f := range loaded.Raw {
		files = append(files, &loader.BufferedFile{Name: f.Name, Data: f.Data})
	}
	return load(name, files)
}

// isChart keeps Helm from reading a directory that is something else, whatever
// its size, with all that links in it lead to.
func isChart(name string) error {
	info, err := os.Stat(name)
	if err != nil {
		return fmt.Errorf("loading the chart: %w", err)
	}
	if !info.IsDir() {
		return nil
	}
	if _, err := os.Stat(filepath.Join(name, "Chart.yaml")); err != nil {
		return fmt.Errorf("%s is no chart: %w", name, err)
	}
	return nil
}

// LoadFiles is a chart that is nowhere on disk.
func LoadFiles(name string, contents map[string][]byte) (*Chart, error) {
	var files []*loader.BufferedFile
	for _, p := range slices.Sorted(maps.Keys(contents)) {
		files = append(files, &loader.BufferedFile{Name: p, Data: contents[p]})
	}
	return load(name, files)
}

func load(name string, files []*loader.BufferedFile) (*Chart, error) {
	c := &Chart{files: files}
	var err error
	if c.chart, err = c.fresh(); err != nil {
		return nil, fmt.Errorf("loading the chart %s: %w", name, err)
	}
	return c, nil
}

// fresh is the chart as it was read: what is rendered is changed by it, as
// conditions take sub-charts away.
func (c *Chart) fresh() (*chart.Chart, error) {
	loaded, err := loader.LoadFiles(c.files)
	if err == nil {
		err = loaded.Validate()
	}
	return loaded, err
}

// Name is the chart's name.
func (c *Chart) Name() string { return c.chart.Name() }

// Version is the chart's version.
func (c *Chart) Version() string { return c.chart.Metadata.Version }

// Defaults are the chart's values, those of each sub-chart below its name. A key
// whose value is null is there.
func (c *Chart) Defaults() map[string]any { return defaults(c.chart) }

func defaults(c *chart.Chart) map[string]any {
	tree := maps.Clone(c.Values)
	if tree == nil {
		tree = map[string]any{}
	}
	names := map[string][]string{} // a sub-chart's other names
	for _, d := range c.Metadata.Dependencies {
		if d.Alias != "" {
			names[d.Name] = append(names[d.Name], d.Alias)
		}
	}
	for _, sub := range c.Dependencies() {
		below := defaults(sub)
		for _, name := range append([]string{sub.Name()}, names[sub.Name()]...) {
			over, _ := tree[name].(map[string]any)
			tree[name] = Merge(below, over)
		}
		// A sub-chart's global values are everybody's.
		if global, ok := below["global"].(map[string]any); ok {
			over, _ := tree["global"].(map[string]any)
			tree["global"] = Merge(global, over)
		}
	}
	return tree
}

// Template is a template as it was read.
type Template struct {
	Chart string // dotted path of values of the chart that it is part of; empty: the chart itself
	Name  string
	Text  string
}

// Templates are the chart's and those of its sub-charts.
func (c *Chart) Templates() []Template { return templates(c.chart, "") }

func templates(c *chart.Chart, at string) []Template {
	var list []Template
	for _, t := range c.Templates {
		list = append(list, Template{at, t.Name, string(t.Data)})
	}
	for _, sub := range c.Dependencies() {
		list = append(list, templates(sub, strings.TrimPrefix(at+"."+sub.Name(), "."))...)
	}
	return list
}

// Conditions are the keys that take sub-charts away.
func (c *Chart) Conditions() []string { return conditions(c.chart, "") }

func conditions(c *chart.Chart, at string) []string {
	var list []string
	for _, d := range c.Metadata.Dependencies {
		for path := range strings.SplitSeq(d.Condition, ",") {
			switch path = strings.TrimSpace(path); {
			case path == "":
			case strings.HasPrefix(path, "global."):
				list = append(list, path)
			default:
				list = append(list, strings.TrimPrefix(at+"."+path, "."))
			}
		}
		for _, tag := range d.Tags {
			list = append(list, "tags."+tag)
		}
	}
	for _, sub := range c.Dependencies() {
		list = append(list, conditions(sub, strings.TrimPrefix(at+"."+sub.Name(), "."))...)
	}
	return list
}

// Merge is base with over above it, key by key; neither is changed.
func Merge(base, over map[string]any) map[string]any {
	out := maps.Clone(base)
	if out == nil {
		out = map[string]any{}
	}
	for k, v := range over {
		below, isMap := v.(map[string]any)
		was, wasMap := out[k].(map[string]any)
		if isMap && wasMap {
			v = Merge(was, below)
		}
		out[k] = v
	}
	return out
}

// Render is every template of the chart with values, but notes and those that
// give nothing, sorted by name.
func (c *Chart) Render(r Release, values map[string]any) ([]File, error) {
	loaded, err := c.fresh()
	if err != nil {
		return nil, err
	}
	values = Merge(nil, copied(values))
	if err := chartutil.ProcessDependencies(loaded, values); err != nil {
		return nil, fmt.Errorf("sub-charts: %w", err)
	}
	able := chartutil.DefaultCapabilities.Copy()
	able.APIVersions = slices.Concat(able.APIVersions, r.APIVersions)
	if r.KubeVersion != "" {
		v, err := chartutil.ParseKubeVersion(r.KubeVersion)
		if err != nil {
			return nil, fmt.Errorf("version of Kubernetes: %w", err)
		}
		able.KubeVersion = *v
	}
	given, err := chartutil.ToRenderValues(loaded, values, chartutil.ReleaseOptions{Name: r.Name, Namespace: r.Namespace, Revision: 1, IsInstall: true}, able)
	if err != nil {
		return nil, err
	}
	texts, err := engine.Render(loaded, given)
	if err != nil {
		return nil, err
	}
	var out []File
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		if path.Base(name) == "NOTES.txt" || strings.HasPrefix(path.Base(name), "_") || strings.TrimSpace(texts[name]) == "" {
			continue
		}
		out = append(out, File{name, texts[name]})
	}
	return out, nil
}

// copied is values that Helm may change.
func copied(v map[string]any) map[string]any {
	out := map[string]any{}
	for k, x := range v {
		if m, ok := x.(map[string]any); ok {
			x = copied(m)
		}
		out[k] = x
	}
	return out
}

// Pack writes files as a packaged chart, the same bytes each time.
func Pack(name, to string, contents map[string][]byte) (err error) {
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	zipped := gzip.NewWriter(out)
	w := tar.NewWriter(zipped)
	for _, p := range slices.Sorted(maps.Keys(contents)) {
		h := tar.Header{Typeflag: tar.TypeReg, Name: path.Join(name, p), Mode: 0o644, Size: int64(len(contents[p])), ModTime: time.Unix(0, 0)}
		if err = w.WriteHeader(&h); err != nil {
			break
		}
		if _, err = w.Write(contents[p]); err != nil {
			break
		}
	}
	return errors.Join(err, w.Close(), zipped.Close(), out.Close())
}
