package chart

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"kasgen/chart/engine"
	"kasgen/chart/extras"
	"kasgen/chart/given"
	"kasgen/chart/inventory"
	"kasgen/chart/manifest"
	"kasgen/chart/proof"
	"kasgen/chart/values"
	"kasgen/generator"
	"kasgen/internal/cli"
	"kasgen/internal/diag"
	"kasgen/internal/lockfile"
)

// CodeRender is of a chart that Helm cannot render.
const CodeRender = "KAS6109"

// release are the flags that say what a chart is rendered for.
type release struct {
	from            *generator.Source
	facts           *generator.Facts
	chart           string
	files           []string
	name, namespace string
	kube            string
	options
}

// addRelease gives cmd the flags of a release.
func addRelease(cmd *cobra.Command) *release {
	r := &release{}
	r.from = generator.AddSourceAs(cmd, "spec", "")
	r.facts = capture(cmd, r.from)
	f := cmd.Flags()
	f.StringVar(&r.chart, "chart", "", "GitLab's chart: a directory, or a file as helm pull writes it")
	f.StringArrayVarP(&r.files, "values", "f", nil, "more values, above those that kasgen gives; can be given several times")
	cli.CompleteFile(cmd, "values", "yaml", "yml")
	f.StringVar(&r.kube, "kube-version", "", "version of Kubernetes that templates see (default: Helm's)")
	addNames(cmd, &r.name, &r.namespace)
	r.addShared(f)
	return r
}

func addNames(cmd *cobra.Command, name, namespace *string) {
	cmd.Flags().StringVar(name, "release", "gitlab", "name of the release")
	cmd.Flags().StringVar(namespace, "namespace", "gitlab", "its namespace")
}

// apiVersions are what GitLab's chart and the extras look for in a cluster.
func apiVersions() []string {
	return []string{
		"networking.k8s.io/v1/Ingress", "gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1/Gateway",
		"gateway.networking.k8s.io/v1/HTTPRoute", "gateway.networking.k8s.io/v1/GRPCRoute", "gateway.networking.k8s.io/v1/TLSRoute",
		"gateway.envoyproxy.io/v1alpha1", "cert-manager.io/v1", "monitoring.coreos.com/v1",
	}
}

// rendered is a chart with a topology's values.
type rendered struct {
	chart    *engine.Chart
	want     proof.Want
	own      map[string]any // people's, without what was generated before
	values   map[string]any // all of them
	files    []string       // that were looked at
	objects  []*manifest.Object
	findings diag.Findings
	texts    []engine.File
}

// spec reads the spec, and what follows from it. Findings that fail come without
// facts.
func (r *release) spec(in io.Reader) (*generator.Facts, diag.Findings, error) {
	s, findings, err := r.from.Read(in)
	if err != nil || s == nil {
		return nil, findings, err
	}
	_, more, err := r.from.Render(s)
	if err != nil {
		return nil, nil, err
	}
	return r.facts, append(findings, more...), nil
}

// generated are kasgen's values for a chart.
func generated(f generator.Facts, c *engine.Chart, o values.Options) ([]byte, diag.Findings, error) {
	keys, err := keysIn(c)
	if err != nil {
		return nil, nil, err
	}
	return values.Make(f, keys, o)
}

// render is the chart with kasgen's values and people's. Nil facts are for
// people's alone. What is nil has findings.
func (r *release) render(f *generator.Facts) (*rendered, diag.Findings, error) {
	if r.chart == "" {
		return nil, nil, cli.Usage("name GitLab's chart with --chart: a directory, or a file as `helm pull gitlab/gitlab` writes it")
	}
	c, err := engine.Load(r.chart)
	if err != nil {
		return nil, nil, err
	}
	out := &rendered{chart: c}
	known := given.Of(c)
	all := given.Values{File: ValuesPath + " (generated)", Tree: map[string]any{}}
	if f != nil {
		text, findings, err := generated(*f, c, r.ofValues())
		out.findings = append(out.findings, findings...)
		if err != nil || findings.Failed() {
			return nil, out.findings, err
		}
		if all, findings = given.Read(all.File, text); findings.Failed() {
			return nil, findings, nil
		}
		out.findings = append(out.findings, known.Check(all)...)
		out.want = r.want(*f, out.findings)
	}
	list := []given.Values{all}
	var own []given.Values
	for _, name := range r.files {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, nil, fmt.Errorf("reading values: %w", err)
		}
		v, findings := given.Read(name, data)
		out.findings = append(out.findings, findings...)
		out.findings = append(out.findings, known.Check(v)...)
		out.files = append(out.files, name)
		list = append(list, v)
		if !values.Generated(data) {
			own = append(own, v)
		}
	}
	for _, v := range own {
		out.own = engine.Merge(out.own, v.Tree)
	}
	for _, v := range list {
		out.values = engine.Merge(out.values, v.Tree)
	}
	out.findings = append(out.findings, given.Custom(out.values, func(path string) diag.Pos { return list[len(list)-1].Pos(path) })...)
	if _, err := inventory.ParseVersion(c.Version()); err != nil {
		return nil, nil, cli.Usage("--chart: %v", err)
	}
	if p, ok := text(out.values, "global", "ingress", "provider"); ok {
		out.want.Provider = p
	}
	out.texts, out.objects, err = r.objects(c, out.values, &out.findings)
	return out, out.findings, err
}

// ExtrasRelease is the release of the extras that everything is looked at with.
const ExtrasRelease = "kas-edge"

// extras adds the objects beside the release.
func (r *release) addExtrasObjects(f generator.Facts, out *rendered) error {
	v, err := inventory.ParseVersion(out.chart.Version())
	if err != nil {
		return cli.Usage("--chart: %v", err)
	}
	o, err := r.completed(v, r.name, r.namespace)
	if err != nil {
		return err
	}
	files, findings, err := extras.Make(f, o)
	out.findings = append(out.findings, findings...)
	if err != nil || findings.Failed() {
		return err
	}
	c, err := engine.LoadFiles(extras.ChartName, files)
	if err != nil {
		return err
	}
	beside := *r
	beside.name, beside.chart = ExtrasRelease, extras.ChartName
	texts, objects, err := beside.objects(c, nil, &out.findings)
	out.texts, out.objects = append(out.texts, texts...), append(out.objects, objects...)
	out.want.Extras = objects != nil
	return err
}

// objects renders a chart and reads what comes out.
func (r *release) objects(c *engine.Chart, values map[string]any, findings *diag.Findings) ([]engine.File, []*manifest.Object, error) {
	files, err := c.Render(engine.Release{Name: r.name, Namespace: r.namespace, KubeVersion: r.kube, APIVersions: apiVersions()}, values)
	if err != nil {
		findings.Add(diag.Finding{Code: CodeRender, Pos: diag.Pos{File: r.chart}, What: "Helm cannot render the chart: " + err.Error(),
			Why: "an install would stop there", Fix: "give the values that it asks for with -f"})
		return nil, nil, nil
	}
	reader, err := manifest.NewReader()
	if err != nil {
		return nil, nil, err
	}
	var all []*manifest.Object
	for _, f := range files {
		list, found := reader.Read(f.Name, []byte(f.Text))
		*findings = append(*findings, found...)
		all = append(all, list...)
	}
	*findings = append(*findings, manifest.Doubles(all)...)
	return files, all, nil
}

// want is what a topology asks of a release.
func (r *release) want(f generator.Facts, findings diag.Findings) proof.Want {
	t := f.Topology
	w := proof.Want{
		Managed: r.ofValues().Managed,
		Release: r.name, Namespace: r.namespace, Topology: t.Name, Host: t.Names.KAS.Name, Prefix: t.Names.KAS.PathPrefix,
		WSS: t.Carries.Agents.WSS == lockfile.Yes, GRPC: t.Carries.Agents.GRPCS == lockfile.Yes,
		SPDY: t.Carries.Kubectl.SPDY == lockfile.Yes, Edge: t.Edge != nil, Idle: time.Duration(f.Spec.Timeouts.Idle),
	}
	if t.Names.GRPC != nil {
		w.GRPCHost = t.Names.GRPC.Name
	}
	for _, f := range findings {
		if f.Code == values.CodeGRPC {
			w.GRPC = false // has been said
		}
	}
	return w
}

// text is a value.
func text(tree map[string]any, path ...string) (string, bool) {
	var at any = tree
	for _, k := range path {
		m, ok := at.(map[string]any)
		if !ok {
			return "", false
		}
		at = m[k]
	}
	s, ok := at.(string)
	return s, ok && s != ""
}

// failed is the end of a command that has findings in place of a result.
func failed(streams cli.IO, format cli.Format, findings diag.Findings, subjects ...string) error {
	err := cli.Report(streams, format, findings, cli.Looked(subjects...)...)
	if err == nil {
		return errors.New("there are no findings")
	}
	return err
}
