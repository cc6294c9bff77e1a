package scenarios

import (
	"fmt"

	"kasgen/internal/cli"
	"kasgen/scenarios/lab/httpbalancer"
)

// describe prints what is known of a cloud's balancer, and from where.
func describe(streams cli.IO, m httpbalancer.Model) error {
	if _, err := fmt.Fprintf(streams.Out, "  model of %s:\n", m.Title); err != nil {
		return err
	}
	for _, l := range m.Limits {
		source := l.Source
		if source == "" {
			source = "source unknown"
		}
		if _, err := fmt.Fprintf(streams.Out, "    %s (%s)\n", l.What, source); err != nil {
			return err
		}
	}
	return nil
}
