package manual

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"kasgen/internal/cli"
)

// manCommand writes man pages. It is for packaging, `make man`, so it is not
// listed.
func manCommand(streams cli.IO) *cobra.Command {
	cmd := &cobra.Command{
		Use:    "man DIR",
		Short:  "Write a man page for each command into a directory",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			for _, p := range Pages(cmd.Root()) {
				path := filepath.Join(args[0], p.Name)
				if err := os.WriteFile(path, []byte(p.Text), 0o644); err != nil {
					return err
				}
				if _, err := fmt.Fprintln(streams.Out, path); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cli.CompleteDir(cmd)
	return cmd
}

// Page is one man page.
type Page struct {
	Name string // of its file: kasgen-render.1
	Text string
}

// Pages are the man pages of a command and all below it that are listed.
func Pages(root *cobra.Command) []Page {
	pages := []Page{page(root)}
	for _, sub := range root.Commands() {
		if sub.IsAvailableCommand() && !sub.IsAdditionalHelpTopicCommand() {
			pages = append(pages, Pages(sub)...)
		}
	}
	return pages
}

// title is a command's path with dashes, as man knows it.
func title(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// page writes in the macros of man(7).
func page(cmd *cobra.Command) Page {
	var w roff
	// No date: the same program has the same pages, whenever they are written.
	w.macro("TH", strings.ToUpper(title(cmd)), "1", "", "kasgen "+cli.Version, "kasgen")
	w.section("NAME")
	w.text(title(cmd) + " - " + strings.ToLower(cmd.Short[:1]) + cmd.Short[1:])
	w.section("SYNOPSIS")
	w.bold(usage(cmd))
	w.section("DESCRIPTION")
	if cmd.Long != "" {
		w.prose(cmd.Long)
	} else {
		w.text(cmd.Short + ".")
	}
	if subs := listed(cmd); len(subs) > 0 {
		w.section("COMMANDS")
		for _, sub := range subs {
			w.item(sub.Name(), sub.Short)
		}
	}
	options(&w, cmd)
	environment(&w, cmd)
	w.section("EXIT STATUS")
	for _, line := range [][2]string{
		{"0", "done, or no difference"}, {"1", "failure"}, {"2", "differences"}, {"3", "wrong usage"},
	} {
		w.item(line[0], line[1])
	}
	if cmd.Example != "" {
		w.section("EXAMPLES")
		w.prose(cmd.Example)
	}
	if also := related(cmd); len(also) > 0 {
		w.section("SEE ALSO")
		w.text(strings.Join(also, ", "))
	}
	return Page{Name: title(cmd) + ".1", Text: w.String()}
}

func usage(cmd *cobra.Command) string {
	if cmd.HasAvailableSubCommands() {
		return cmd.CommandPath() + " COMMAND"
	}
	return cmd.UseLine()
}

func listed(cmd *cobra.Command) []*cobra.Command {
	var list []*cobra.Command
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() && !sub.IsAdditionalHelpTopicCommand() {
			list = append(list, sub)
		}
	}
	return list
}

func options(w *roff, cmd *cobra.Command) {
	if !cmd.HasAvailableFlags() {
		return
	}
	w.section("OPTIONS")
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		name, words := pflag.UnquoteUsage(f)
		label := "--" + f.Name
		if f.Shorthand != "" {
			label = "-" + f.Shorthand + ", " + label
		}
		if name != "" {
			label += "=" + name
		}
		if f.DefValue != "" && f.DefValue != "false" {
			words += " (default " + f.DefValue + ")"
		}
		w.item(label, words)
	})
}

// environment names the variables that set flags.
func environment(w *roff, cmd *cobra.Command) {
	list := cli.Variables(cmd)
	if len(list) == 0 {
		return
	}
	w.section("ENVIRONMENT")
	for _, v := range list {
		w.item(v.Name, "as --"+v.Flag+", which wins over it")
	}
}

// related are the pages above, beside and below a command's.
func related(cmd *cobra.Command) []string {
	var list []string
	add := func(c *cobra.Command) {
		if c != cmd {
			list = append(list, title(c)+"(1)")
		}
	}
	if parent := cmd.Parent(); parent != nil {
		add(parent)
		for _, sibling := range listed(parent) {
			add(sibling)
		}
	}
	for _, sub := range listed(cmd) {
		add(sub)
	}
	return list
}
