package cli

import (
	"strings"

	"github.com/spf13/cobra"
)

// Complete offers values for a flag of cmd to shells. They are asked for when
// somebody completes, not when the command is made.
func Complete(cmd *cobra.Command, flag string, values func() []string) {
	err := cmd.RegisterFlagCompletionFunc(flag, func(_ *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return Beginning(values(), begun), cobra.ShellCompDirectiveNoFileComp
	})
	if err != nil {
		panic("cli: " + err.Error()) // the flag is not there, or has values already
	}
}

// CompleteFile has a flag of cmd be a file with one of the endings.
func CompleteFile(cmd *cobra.Command, flag string, endings ...string) {
	if err := cmd.MarkFlagFilename(flag, endings...); err != nil {
		panic("cli: " + err.Error()) // the flag is not there
	}
}

// CompleteArgs offers values for the arguments of cmd, up to its number of
// them.
func CompleteArgs(cmd *cobra.Command, most int, values func() []string) {
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return Beginning(values(), begun), cobra.ShellCompDirectiveNoFileComp
	}
}

// CompleteDir has cmd's first argument be a directory, and no other.
func CompleteDir(cmd *cobra.Command) {
	cmd.ValidArgsFunction = func(_ *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
}

// Beginning are the values that begin as the word does, in capitals or not. A
// value may have a tab and a description behind it.
func Beginning(values []string, begun string) []cobra.Completion {
	var list []cobra.Completion
	for _, v := range values {
		if len(v) >= len(begun) && strings.EqualFold(v[:len(begun)], begun) {
			list = append(list, v)
		}
	}
	return list
}
