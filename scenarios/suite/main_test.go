package suite

import (
	"fmt"
	"os"
	"testing"
)

// TestMain is also the child processes that run what may end a process.
func TestMain(m *testing.M) {
	for key, run := range map[string]func(string) error{jobKey: runJob, specKey: runSpecJob} {
		text := os.Getenv(key)
		if text == "" {
			continue
		}
		if err := run(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	// The race detector lets each program that ends sleep for a second.
	if err := os.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	totals.print(os.Stdout)
	os.Exit(code)
}
