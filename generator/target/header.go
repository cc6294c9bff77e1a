package target

import (
	"fmt"

	"kasgen/generator/topology"
)

// Header is the first comment of a file for program.
func Header(t topology.Topology, program string) string {
	return fmt.Sprintf("%s, topology %s, written by kasgen. Change kasgen.yaml and render again.", program, t.Name)
}
