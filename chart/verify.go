package chart

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"kasgen/chart/extract"
	"kasgen/chart/manifest"
	"kasgen/chart/proof"
	"kasgen/chart/values"
	"kasgen/internal/cli"
	"kasgen/internal/diag"
)

// verifyOptions are the flags of `kasgen chart verify`.
type verifyOptions struct {
	*release
	extras  bool
	extract string
	format  cli.Format
}

func verifyCommand(streams cli.IO) *cobra.Command {
	o := verifyOptions{}
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Render GitLab's chart and prove that it is the topology",
		Long: `Verify renders the chart as Helm does, without a cluster and without network,
and follows each kind of client through the objects: which name and path reaches
which port of kas, by which protocol, within which limits. It holds what GitLab
advertises and how kas is configured to it, looks for ports that are shown to the
world, for keys that the chart does not have, and, against a render without
kasgen's values, for anything but kas that changes.`,
		Example: `  helm pull gitlab/gitlab --version 9.9.1
  kasgen chart verify --spec kasgen.yaml --chart gitlab-9.9.1.tgz -f values.yaml`,
		Args: cobra.NoArgs,
	}
	o.release = addRelease(cmd)
	cmd.Flags().BoolVar(&o.extras, "extras", false, "look at the objects beside the release too, as kasgen chart extras writes them")
	cmd.Flags().StringVar(&o.extract, "extract", "", "write a bundle that runs of kas's and the edge's files and a model of the routes into this directory, for kasgen demo --bundle")
	o.addExtras(cmd)
	cli.AddFormat(cmd, &o.format)
	cmd.RunE = func(*cobra.Command, []string) error { return o.run(streams) }
	return cmd
}

// verified is what --format json prints.
type verified struct {
	Chart    string        `json:"chart"`
	Topology string        `json:"topology"`
	Ways     []string      `json:"ways"`
	Findings diag.Findings `json:"findings"`
}

func (o verifyOptions) run(streams cli.IO) error {
	facts, findings, err := o.spec(streams.In)
	if err != nil {
		return err
	}
	if facts == nil || findings.Failed() {
		return failed(streams, o.format, findings, o.from.Name())
	}
	r, more, err := o.render(facts)
	if err != nil {
		return err
	}
	findings = append(findings, more...)
	if r == nil || r.objects == nil {
		return failed(streams, o.format, findings, o.from.Name())
	}
	chart := r.objects
	if o.extras {
		if err := o.addExtrasObjects(*facts, r); err != nil {
			return err
		}
		findings = append(findings, r.findings[len(more):]...)
		if !r.want.Extras {
			return failed(streams, o.format, findings, o.from.Name())
		}
		// What had to be beside the release is there.
		findings = slices.DeleteFunc(findings, func(f diag.Finding) bool { return f.Code == values.CodeExtras })
	}
	result := proof.Prove(r.want, r.objects)
	findings = append(findings, result.Findings...)
	if findings, err = o.nothingElse(r, chart, findings); err != nil {
		return err
	}
	if o.extract != "" && !findings.Failed() {
		b, err := extract.Bundle(r.want, result, facts.Topology.Carries, facts.Topology.SpecDigest)
		if err != nil {
			return err
		}
		if _, err := b.Write(o.extract, false); err != nil {
			return err
		}
	}
	return o.print(streams, r, result, findings)
}

// nothingElse compares with a render without kasgen's values.
func (o verifyOptions) nothingElse(r *rendered, after []*manifest.Object, findings diag.Findings) (diag.Findings, error) {
	var ignored diag.Findings
	_, before, err := o.objects(r.chart, r.own, &ignored)
	if err != nil || before == nil {
		return findings, err
	}
	return append(findings, proof.Others(o.name, proof.Compare(before, after, o.namespace))...), nil
}

func (o verifyOptions) print(streams cli.IO, r *rendered, result proof.Result, findings diag.Findings) error {
	findings.Sort()
	title := r.chart.Name() + " " + r.chart.Version()
	switch o.format {
	case cli.JSON:
		v := verified{Chart: title, Topology: r.want.Topology, Ways: []string{}, Findings: append(diag.Findings{}, findings...)}
		for _, w := range result.Ways {
			v.Ways = append(v.Ways, w.Title())
		}
		if err := cli.PrintJSON(streams.Out, v); err != nil {
			return err
		}
	case cli.JUnit, cli.SARIF:
		if err := cli.PrintFindings(streams, o.format, findings, cli.Looked(subjects(r)...)...); err != nil {
			return err
		}
	default:
		fmt.Fprintf(streams.Out, "%s, topology %s, release %s\n", title, r.want.Topology, o.name)
		for _, w := range result.Ways {
			fmt.Fprintf(streams.Out, "  %s\n", w.Title())
		}
		if err := findings.WriteText(streams.Err); err != nil {
			return err
		}
		if !findings.Failed() {
			fmt.Fprintf(streams.Out, "%d objects: %s, and nothing but kas changes\n", len(r.objects), conclusion(findings))
		}
	}
	if findings.Failed() {
		return cli.Exit{Code: cli.Failure}
	}
	return nil
}

// conclusion says how much was proved.
func conclusion(findings diag.Findings) string {
	if slices.ContainsFunc(findings, func(f diag.Finding) bool { return f.Code == proof.CodeOutside }) {
		return "what the chart has of the topology holds"
	}
	return "the topology holds"
}

// subjects are the files that were looked at.
func subjects(r *rendered) []string {
	list := slices.Clone(r.files)
	for _, f := range r.texts {
		list = append(list, f.Name)
	}
	return list
}
