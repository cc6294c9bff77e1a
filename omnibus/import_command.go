package omnibus

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"kasgen/generator/spec"
	"kasgen/internal/cli"
	"kasgen/internal/diag"
	"kasgen/internal/nginxconf"
	"kasgen/omnibus/importer"
)

// Imports are the room's commands below `kasgen import`.
func Imports(streams cli.IO) []*cobra.Command {
	var o importOptions
	cmd := &cobra.Command{
		Use:   "omnibus",
		Short: "Describe what an Omnibus package runs as a kasgen.yaml",
		Long: `Import reads the settings that Omnibus last worked with, and prints the
kasgen.yaml that describes them, with the key of gitlab.rb that each field is
from. A vhost of a second name, for agents by gRPC, is looked for in
nginx['custom_nginx_config'] and what that includes. What the description does not say the same of is listed on standard error.
Nothing is changed, and no secret is printed.

With --vhost it reads kas's vhosts in a file of nginx's instead, Omnibus's or
somebody's own, with what the file includes.`,
		Example: `  kasgen import omnibus > /etc/gitlab/kasgen.yaml
  kasgen import omnibus --vhost /etc/nginx/sites-enabled/kas --gitlab-url https://gitlab.example.com
  gitlab-ctl show-config | kasgen import omnibus --settings -`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return o.run(streams) },
	}
	cmd.Flags().StringVar(&o.settings, "settings", "", "what `gitlab-ctl show-config` printed, or a node's attributes as JSON; - is standard input (default: those of this machine)")
	cmd.Flags().StringVar(&o.vhost, "vhost", "", "file of nginx's with kas's vhosts, instead of settings")
	cmd.Flags().StringVar(&o.gitlab, "gitlab-url", "", "GitLab's own URL, which goes with --vhost")
	cli.CompleteFile(cmd, "vhost", "conf")
	cmd.Flags().StringVar(&o.root, "root", "/", "folder that stands for the machine")
	o.format = cli.Text
	cli.AddFormat(cmd, &o.format, cli.Text, cli.JSON)
	return []*cobra.Command{cmd}
}

type importOptions struct {
	settings, root string
	vhost, gitlab  string
	format         cli.Format
}

// imported is what --format json prints.
type imported struct {
	Spec     string          `json:"kasgenYAML"`
	Lost     []importer.Lost `json:"lost"`
	Findings diag.Findings   `json:"findings"`
}

func (o importOptions) run(streams cli.IO) error {
	switch {
	case o.vhost != "" && o.settings != "":
		return cli.Usage("--vhost reads nginx's files instead of --settings: give one of the two")
	case (o.vhost == "") != (o.gitlab == ""):
		return cli.Usage("--vhost and --gitlab-url go together: no vhost says GitLab's URL")
	}
	if done, err := o.existing(streams); done || err != nil {
		return err
	}
	d, err := o.describe(streams)
	if err != nil {
		return cli.Report(streams, cli.Text, err)
	}
	text, err := d.YAML()
	if err != nil {
		return cli.Exit{Code: cli.Failure, Err: err}
	}
	// What was read may be a combination that kasgen refuses: that is told, and
	// the description is of use all the same.
	_, findings := spec.ReadFor(Defaults, "kasgen.yaml", text, nil)
	if o.format == cli.JSON {
		return cli.PrintJSON(streams.Out, imported{string(text), append([]importer.Lost{}, d.Lost...), append(diag.Findings{}, findings...)})
	}
	if _, err := streams.Out.Write(text); err != nil {
		return err
	}
	for _, l := range d.Lost {
		severity := ""
		if l.Warning {
			severity = "warning: "
		}
		if _, err := fmt.Fprintf(streams.Err, "%snot kept: %s: %s\n  fix: %s\n", severity, l.Key, l.Why, l.Fix); err != nil {
			return err
		}
	}
	return findings.WriteText(streams.Err)
}

// existing prints the kasgen.yaml of a machine that has its keys from it: whichever
// topology runs there, that file is what describes it.
func (o importOptions) existing(streams cli.IO) (bool, error) {
	if o.vhost != "" || o.settings != "" {
		return false, nil
	}
	h := host{root: o.root}
	text, there, err := h.read(specFile)
	if err != nil || !there {
		return false, err
	}
	if rb, _, err := h.read(gitlabFile); err != nil || !hasLine(rb) {
		return false, err
	}
	if _, err := fmt.Fprintf(streams.Err, "this instance runs what %s describes, which is printed as it is; --settings describes Omnibus's settings alone\n", h.at(specFile)); err != nil {
		return true, err
	}
	_, findings := spec.ReadFor(Defaults, h.at(specFile), text, nil)
	if o.format == cli.JSON {
		return true, cli.PrintJSON(streams.Out, imported{string(text), []importer.Lost{}, append(diag.Findings{}, findings...)})
	}
	if _, err := streams.Out.Write(text); err != nil {
		return true, err
	}
	return true, findings.WriteText(streams.Err)
}

func (o importOptions) describe(streams cli.IO) (importer.Description, error) {
	if o.vhost != "" {
		data, err := os.ReadFile(o.vhost)
		if err != nil {
			return importer.Description{}, err
		}
		f, err := nginxconf.Parse(o.vhost, data)
		if err != nil {
			return importer.Description{}, err
		}
		f, found := f.Expand(nginxconf.Source{ReadFile: os.ReadFile, Glob: filepath.Glob})
		if err := found.Err(); err != nil {
			return importer.Description{}, err
		}
		return importer.DescribeVhost(f, o.gitlab)
	}
	r, err := o.read(streams)
	if err != nil {
		return importer.Description{}, err
	}
	d, err := importer.Describe(func(key ...string) any {
		if s, ok := r.at(key...).(string); ok {
			return unmarked(s)
		}
		return r.at(key...)
	}, nginxconf.Source{
		ReadFile: func(path string) ([]byte, error) { return os.ReadFile(filepath.Join(o.root, path)) },
		Glob: func(pattern string) ([]string, error) {
			found, err := filepath.Glob(filepath.Join(o.root, pattern))
			for i := range found {
				found[i] = "/" + strings.TrimPrefix(strings.TrimPrefix(found[i], filepath.Clean(o.root)), "/")
			}
			return found, err
		},
	})
	if err != nil {
		err = fmt.Errorf("%s: %w", r.File, err)
	}
	return d, err
}

func (o importOptions) read(streams cli.IO) (*Resolved, error) {
	if o.settings == "-" {
		var data bytes.Buffer
		if _, err := data.ReadFrom(streams.In); err != nil {
			return nil, err
		}
		return ParseResolved("standard input", data.Bytes())
	}
	r, err := ReadResolved(o.settings, o.root)
	if err == nil && r == nil {
		err = errors.New("no reconfigure has run here that left its settings: give them with --settings, as `gitlab-ctl show-config` prints them")
	}
	if errors.Is(err, os.ErrPermission) {
		err = fmt.Errorf("%w: the settings hold secrets, so only root may read them", err)
	}
	return r, err
}
