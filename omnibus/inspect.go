package omnibus

import (
	"fmt"
	"slices"
	"strings"

	"kasgen/generator/bundle"
	"kasgen/generator/cost"
	"kasgen/internal/cli"
	"kasgen/internal/diag"
)

// inspection is one run of `kasgen omnibus status`, `diff`, or `reconfigure
// --check`. It writes nothing.
type inspection struct {
	options
	streams     cli.IO
	diff, brief bool
}

func (s *inspection) run() error {
	status := !s.diff && !s.brief
	s.inEffect = status // state says it
	p, err := s.make()
	if err != nil {
		return err
	}
	if err := said(s.streams, p.findings); err != nil {
		return err
	}
	c, err := p.bundle.Compare(s.host.bundle())
	if err != nil {
		return err
	}
	units, err := p.changes()
	if err != nil {
		return err
	}
	out := s.streams.Out
	same := c.Same() && len(units) == 0
	waits, err := s.waits()
	if err != nil {
		return err
	}
	switch {
	case s.diff:
		if _, err := out.Write(c.Diff()); err != nil {
			return err
		}
		if len(c.Changes) > 0 {
			fmt.Fprintln(out)
			if err := cost.Of(c.Before(), c.After()).WriteText(out); err != nil {
				return err
			}
		}
	case status:
		if more, err := s.state(p, c); err != nil {
			return err
		} else if !more {
			same = false
		}
	}
	if !s.diff {
		for _, change := range c.Changes {
			fmt.Fprintf(out, "%-7s %s/%s\n", change.Kind, Directory, change.Path)
		}
	}
	for _, u := range units {
		fmt.Fprintf(out, "%-7s %s\n", verb(u), u.Path)
	}
	if s.brief {
		for _, what := range waits {
			fmt.Fprintln(out, what)
		}
		same = same && len(waits) == 0
	}
	if !same {
		return cli.Exit{Code: cli.Differences}
	}
	if s.diff || s.brief {
		fmt.Fprintln(out, "nothing is to be changed")
	}
	return nil
}

// waits is what keeps files that are in place from having an effect.
func (s *inspection) waits() ([]string, error) {
	var all []string
	text, _, err := s.host.read(gitlabFile)
	if err != nil {
		return nil, err
	}
	if !hasLine(text) {
		all = append(all, "gitlab.rb does not read "+Directory+"/"+RubyPath+": add "+readLine+" to its end, or run kasgen omnibus install")
	}
	list, _, err := s.host.readPending()
	if len(list) > 0 {
		all = append(all, "not in effect yet: "+strings.Join(list, ", "))
	}
	return all, err
}

// state prints what is installed, and says whether all of it is in effect.
func (s *inspection) state(p *plan, c *bundle.Comparison) (good bool, err error) {
	h, out := s.host, s.streams.Out
	text, _, err := h.read(gitlabFile)
	if err != nil {
		return false, err
	}
	fmt.Fprintf(out, "GitLab        %s\n", p.pkg.Version)
	fmt.Fprintf(out, "topology      %s\n", p.bundle.Lock.Topology)
	agents, kubernetes := p.urls()
	fmt.Fprintf(out, "agents        %s\nKubernetes    %s\n", agents, kubernetes)
	good = true
	yes := func(name string, ok bool, no string) {
		good = good && ok
		if ok {
			no = "yes"
		}
		fmt.Fprintf(out, "%-13s %s\n", name, no)
	}
	yes("gitlab.rb", hasLine(text), "no: it does not read "+Directory+"/"+RubyPath)
	yes("gitlab-ctl", h.has(extensionFile), "no: its extension is not there")
	yes("files", c.Same(), "no: they differ from what would be rendered")
	var fs diag.Findings
	list, _, err := h.readPending()
	if err != nil {
		return false, err
	}
	switch {
	case len(list) > 0:
		yes("in effect", false, "no: changed since the last gitlab-ctl reconfigure")
	case p.resolved == nil:
		yes("in effect", false, "unknown: there is no "+nodes+"/*.json of a reconfigure")
	case hasLine(text) && c.Same():
		fs = overruled(p.settings, p.resolved)
		yes("in effect", len(fs) == 0, "no: see below")
	}
	for _, edited := range slices.Concat(c.Edited.Edited, c.Edited.Extra) {
		fmt.Fprintf(out, "by hand %s/%s\n", Directory, edited)
	}
	if err := cli.PrintFindings(s.streams, cli.Text, fs); err != nil {
		return false, err
	}
	return good, nil
}
