package generator

import (
	"github.com/spf13/cobra"

	"kasgen/generator/schema"
	"kasgen/internal/cli"
)

// schemaCommand is `kasgen schema`.
func schemaCommand(streams cli.IO) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of kasgen.yaml, for editors",
		Long: `Schema prints the JSON Schema (2020-12) of kasgen.yaml. Editors that know YAML's
language server take it from the first line of a file:

  # yaml-language-server: $schema=kasgen.schema.json

It knows every field and what a single value may be. What does not go together
is what "kasgen validate" finds.`,
		Example: "  kasgen schema > kasgen.schema.json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			text, err := schema.JSON()
			if err != nil {
				return err
			}
			_, err = streams.Out.Write(text)
			return err
		},
	}
}
