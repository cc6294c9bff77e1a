package cli

import (
	"errors"
	"fmt"
)

// The exit codes.
const (
	Done        = 0
	Failure     = 1
	Differences = 2
	Misuse      = 3
)

// Exit is an error with an exit code. Err may be nil where all has been said.
type Exit struct {
	Code int
	Err  error
}

func (e Exit) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return e.Err.Error()
}

func (e Exit) Unwrap() error { return e.Err }

// Usage is a fault in how the command was called.
func Usage(format string, args ...any) error {
	return Exit{Code: Misuse, Err: fmt.Errorf(format, args...)}
}

// Code is the exit code that err asks for.
func Code(err error) int {
	if err == nil {
		return Done
	}
	if e, ok := errors.AsType[Exit](err); ok {
		return e.Code
	}
	return Failure
}
