// Package cli owns what every command shares: its streams, exit codes, the
// printing of findings, and flags that KASGEN_ variables can set. It knows no
// command. Its law: results go to Out, everything else to Err, and the exit
// code is 0 for done or no difference, 1 for failure, 2 for differences and 3
// for wrong usage, in every output format.
package cli

import "io"

// IO is a command's streams.
type IO struct {
	In  io.Reader
	Out io.Writer // results
	Err io.Writer // everything else
}

// Version is kasgen's own version, written into each bundle.
const Version = "0.1.0"
