package runtime

import (
	"errors"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"kasgen/internal/cli"
	"kasgen/internal/diag"
	"kasgen/internal/edgeconf"
	"kasgen/internal/haproxyconf"
	"kasgen/internal/kasconf"
	"kasgen/internal/layout"
	"kasgen/internal/lockfile"
	"kasgen/internal/nginxconf"
	"kasgen/runtime/diagram"
	"kasgen/runtime/nginx"
)

// The formats of a diagram.
const (
	mermaid cli.Format = "mermaid"
	svg     cli.Format = "svg"
)

// showOptions are the flags of `kasgen topology show`.
type showOptions struct {
	format cli.Format
	width  int
	ascii  bool
}

func topologyCommand(streams cli.IO) *cobra.Command {
	cmd := &cobra.Command{Use: "topology", Short: "Look at what a bundle's files say", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(showCommand(streams))
	return cmd
}

func showCommand(streams cli.IO) *cobra.Command {
	var o showOptions
	cmd := &cobra.Command{
		Use:   "show DIR",
		Short: "Draw a bundle: names, listeners, who ends TLS, and where traffic goes",
		Long: `Show draws what the files of a bundle say, read as run reads them: names,
listeners, who ends TLS, ALPN and PROXY headers, routes, upstreams, and what
goes over each connection.`,
		Example: `  kasgen topology show b
  kasgen topology show b --format svg > topology.svg`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return show(streams, args[0], o) },
	}
	cli.AddFormat(cmd, &o.format, cli.Text, mermaid, svg)
	cmd.Flags().IntVar(&o.width, "width", 0, "columns of text (default: the terminal's, COLUMNS, or 80)")
	cmd.Flags().BoolVar(&o.ascii, "ascii", false, "text without characters beyond ASCII, as where LC_ALL, LC_CTYPE or LANG knows no UTF-8")
	cli.CompleteDir(cmd)
	return cmd
}

func show(streams cli.IO, dir string, o showOptions) error {
	f, err := readFiles(dir)
	if err != nil {
		return cli.Report(streams, cli.Text, err)
	}
	g := diagram.New(f)
	switch o.format {
	case mermaid:
		return g.Mermaid(streams.Out)
	case svg:
		return g.SVG(streams.Out)
	default:
		return g.Text(streams.Out, diagram.TextOptions{Width: width(streams.Out, o.width), ASCII: o.ascii || !unicodeLocale(os.Getenv)})
	}
}

// readFiles reads the files of a bundle for a look at them. What the embedded
// kas would refuse is drawn: the file may be for GitLab's.
func readFiles(dir string) (diagram.Files, error) {
	var f diagram.Files
	var found diag.Findings
	at := layout.Of(dir)
	read := func(name string, parse func(path string, data []byte) error) error {
		path := at.Path(name)
		data, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err == nil {
			err = parse(path, data)
		}
		var fs diag.Findings
		if errors.As(err, &fs) {
			found = append(found, fs...)
			return nil
		}
		return err
	}
	expanded := func(to **nginxconf.File) func(string, []byte) error {
		return func(path string, data []byte) error {
			parsed, err := nginxconf.Parse(path, data)
			if err != nil {
				return err
			}
			parsed, fs := parsed.Expand(nginxSource(at, os.ReadFile))
			if at.Machine() && f.Lock != nil {
				parsed, _ = nginx.Serving(parsed, served(f.Lock))
			}
			*to = parsed
			return fs.Err()
		}
	}
	err := errors.Join(
		read(lockfile.Name, func(path string, data []byte) (err error) { f.Lock, err = lockfile.Read(path, data); return }),
		read(haproxyFile, func(path string, data []byte) (err error) { f.HAProxy, err = haproxyconf.Parse(path, data); return }),
		read(streamFile, expanded(&f.Stream)),
		read(webFile, expanded(&f.Web)),
		read(edgeFile, func(path string, data []byte) (err error) { f.Edge, err = edgeconf.Read(path, data); return }),
		read(kasFile, func(path string, data []byte) error {
			k, err := kasconf.Read(path, data)
			if err == nil {
				f.Kas = k.WithDefaults()
			}
			return err
		}),
	)
	if err != nil {
		return f, err
	}
	found.Sort()
	if err := found.Err(); err != nil {
		return f, err
	}
	if f.Lock == nil {
		return f, (&Bundle{Dir: dir, at: at}).complete(All)
	}
	// What the front's programs would do, as run has it: a file that it refuses
	// could be drawn wrongly.
	if f.HAProxy != nil || f.Stream != nil || f.Web != nil {
		_, err = Read(dir, Front)
	}
	return f, err
}

// width is how many columns there are.
func width(out io.Writer, flag int) int {
	if flag > 0 {
		return flag
	}
	if n := terminalWidth(out); n > 0 {
		return n
	}
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		return n
	}
	return 80
}

// unicodeLocale says whether a terminal shows more than ASCII. No locale at all
// is a machine's doing rather than a person's, and says nothing.
func unicodeLocale(getenv func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToLower(getenv(name)); v != "" {
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return true
}
