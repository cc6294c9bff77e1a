package scenarios

import (
	"github.com/spf13/cobra"

	"kasgen/internal/cli"
	"kasgen/runtime"
)

// addFront gives cmd the flag that chooses what runs the front.
func addFront(cmd *cobra.Command, front *string) {
	cmd.Flags().StringVar(front, "front", string(runtime.Embedded), "what runs the front's files: embedded, or native: the real nginx and HAProxy")
	cli.Complete(cmd, "front", func() []string { return []string{string(runtime.Embedded), string(runtime.Native)} })
}

// checkFront says what that flag may be.
func checkFront(front string) error {
	if p := runtime.Programs(front); p != runtime.Embedded && p != runtime.Native {
		return cli.Usage("--front %s: it is embedded or native", front)
	}
	return nil
}
