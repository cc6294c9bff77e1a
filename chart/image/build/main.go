// Command build writes kasgen's container image.
package main

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"kasgen/chart/image"
	"kasgen/internal/cli"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run takes ARCH=BINARY for each architecture.
func run(args []string) error {
	flags := flag.NewFlagSet("build", flag.ContinueOnError)
	output := flags.String("o", "build/kasgen-image.tar", "where to write the archive")
	revision := flags.String("revision", "", "commit of the source")
	created := flags.String("created", "0", "seconds since 1970 of the source's last change, so that a build can be repeated")
	if err := flags.Parse(args); err != nil {
		return err
	}
	seconds, err := strconv.ParseInt(*created, 10, 64)
	if err != nil {
		return fmt.Errorf("-created: %w", err)
	}
	o := image.Options{Binaries: map[string]string{}, Version: cli.Version, Revision: *revision, Created: time.Unix(seconds, 0).UTC()}
	for _, a := range flags.Args() {
		arch, binary, ok := strings.Cut(a, "=")
		if !ok {
			return fmt.Errorf("%q is not ARCH=BINARY", a)
		}
		o.Binaries[arch] = binary
	}
	if err := image.Write(*output, o); err != nil {
		return err
	}
	fmt.Printf("%s: kasgen:%s\n", *output, o.Version)
	return nil
}
