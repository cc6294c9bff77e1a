package scenarios

import (
	"kasgen/internal/cli"
	"kasgen/runtime"
)

// checkFront says what the flag --front may be.
func (o demoOptions) checkFront() error {
	if p := runtime.Programs(o.front); p != runtime.Embedded && p != runtime.Native {
		return cli.Usage("--front %s: it is embedded or native", o.front)
	}
	return nil
}
