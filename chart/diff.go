package chart

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"kasgen/chart/inventory"
	"kasgen/chart/manifest"
	"kasgen/chart/proof"
	"kasgen/chart/values"
	"kasgen/generator"
	"kasgen/internal/cli"
	"kasgen/internal/diag"
)

// diffOptions are the flags of `kasgen chart diff`.
type diffOptions struct {
	*release
	extras       bool
	against      string
	postRenderer bool
	version      string
	format       cli.Format
}

func diffCommand(streams cli.IO) *cobra.Command {
	var o diffOptions
	cmd := &cobra.Command{
		Use:   "diff",
		Short: "Say what a topology's values change in a release, or refuse one that breaks it",
		Long: `Diff renders the chart with kasgen's values and compares objects: with a render
without them, or with the manifest of a release. It exits with 2 if anything
differs.

With --post-renderer it is Helm's: it reads the manifest that Helm is about to
install from standard input, prints it as it is, and fails where the topology
would not hold, so that Helm changes nothing.`,
		Example: `  helm get manifest -n gitlab gitlab | kasgen chart diff --spec kasgen.yaml --chart gitlab-9.9.1.tgz -f values.yaml --against -
  helm upgrade gitlab gitlab/gitlab -f values.yaml -f values.kas.yaml \
    --post-renderer kasgen --post-renderer-args chart,diff,--post-renderer,--spec,kasgen.yaml`,
		Args: cobra.NoArgs,
	}
	o.release = addRelease(cmd)
	f := cmd.Flags()
	f.StringVar(&o.against, "against", "", "manifest of a release, as helm get manifest prints it; - is standard input (default: a render without kasgen's values)")
	f.BoolVar(&o.postRenderer, "post-renderer", false, "prove the manifest on standard input, and print it as it is")
	f.StringVar(&o.version, "chart-version", "", "with --post-renderer: version of GitLab's chart, where it may not have what the topology asks")
	f.BoolVar(&o.extras, "extras", false, "the objects beside the release belong to it, as kasgen chart extras writes them")
	o.addExtras(cmd)
	cli.AddFormat(cmd, &o.format, cli.Text, cli.JSON)
	cmd.RunE = func(*cobra.Command, []string) error {
		if o.postRenderer {
			return o.judge(streams)
		}
		return o.compare(streams)
	}
	return cmd
}

// compare prints what differs.
func (o diffOptions) compare(streams cli.IO) error {
	facts, findings, err := o.spec(streams.In)
	if err != nil {
		return err
	}
	if facts == nil || findings.Failed() {
		return failed(streams, cli.Text, findings, o.from.Name())
	}
	r, more, err := o.render(facts)
	if err != nil {
		return err
	}
	if findings = append(findings, more...); r == nil || r.objects == nil {
		return failed(streams, cli.Text, findings, o.from.Name())
	}
	if o.extras {
		if err := o.addExtrasObjects(*facts, r); err != nil {
			return err
		}
	}
	before, found, err := o.before(streams.In, r)
	if err != nil {
		return err
	}
	if found.Failed() {
		return failed(streams, cli.Text, found, o.against)
	}
	differences := proof.Compare(before, r.objects, o.namespace)
	if o.format == cli.JSON {
		if err := cli.PrintJSON(streams.Out, append([]proof.Difference{}, differences...)); err != nil {
			return err
		}
	} else {
		for _, d := range differences {
			fmt.Fprintln(streams.Out, d)
		}
	}
	if len(differences) > 0 {
		return cli.Exit{Code: cli.Differences}
	}
	return nil
}

// before are the objects to compare with.
func (o diffOptions) before(in io.Reader, r *rendered) ([]*manifest.Object, diag.Findings, error) {
	var findings diag.Findings
	if o.against == "" {
		_, objects, err := o.objects(r.chart, r.own, &findings)
		return objects, findings, err
	}
	var data []byte
	var err error
	if o.against == "-" {
		data, err = io.ReadAll(in)
	} else {
		data, err = os.ReadFile(o.against)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading the release's manifest: %w", err)
	}
	reader, err := manifest.NewReader()
	if err != nil {
		return nil, nil, err
	}
	objects, findings := reader.Read(o.against, data)
	return objects, findings, nil
}

// judge proves what Helm is about to install.
func (o diffOptions) judge(streams cli.IO) error {
	if o.chart != "" || o.against != "" || len(o.files) > 0 {
		return cli.Usage("--post-renderer takes the manifest from standard input: --chart, --against and -f would have no effect")
	}
	facts, findings, err := o.spec(strings.NewReader(""))
	if err != nil {
		return err
	}
	if facts == nil || findings.Failed() {
		return failed(streams, cli.Text, findings, o.from.Name())
	}
	data, err := io.ReadAll(streams.In)
	if err != nil {
		return fmt.Errorf("reading the manifest: %w", err)
	}
	reader, err := manifest.NewReader()
	if err != nil {
		return err
	}
	objects, found := reader.Read("(standard input)", data)
	findings = append(append(findings, found...), manifest.Doubles(objects)...)
	want, err := o.wanted(*facts)
	if err != nil {
		return err
	}
	result := proof.Prove(want, objects)
	if findings = append(findings, result.Findings...); findings.Failed() {
		return failed(streams, cli.Text, findings, "(standard input)")
	}
	if err := findings.WriteText(streams.Err); err != nil {
		return err
	}
	_, err = streams.Out.Write(data)
	return err
}

// wanted is what the topology asks of a manifest, whose chart only a flag names.
func (o diffOptions) wanted(f generator.Facts) (proof.Want, error) {
	if o.version == "" {
		return o.want(f, nil), nil
	}
	v, err := inventory.ParseVersion(o.version)
	if err != nil {
		return proof.Want{}, cli.Usage("--chart-version: %v", err)
	}
	keys, err := inventory.Of(v)
	if err != nil {
		return proof.Want{}, cli.Usage("--chart-version: %v", err)
	}
	_, findings, err := values.Make(f, keys, o.ofValues())
	return o.want(f, findings), err
}
