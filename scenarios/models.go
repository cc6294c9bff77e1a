package scenarios

import (
	"fmt"

	"kasgen/internal/cli"
	"kasgen/scenarios/lab/cloud"
)

// describe prints what is known of a cloud's balancer, and from where.
func describe(streams cli.IO, m cloud.Model) error {
	if _, err := fmt.Fprintf(streams.Out, "  model of %s:\n", m.Title); err != nil {
		return err
	}
	for _, l := range m.Limits {
		if _, err := fmt.Fprintf(streams.Out, "    %s\n", l); err != nil {
			return err
		}
	}
	return nil
}
