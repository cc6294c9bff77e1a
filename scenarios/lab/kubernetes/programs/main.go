// Command programs puts Kubernetes' programs into the user's cache, where the
// tests on a real cluster find them, and prints them with the time that each
// has taken. What is there already takes none.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"kasgen/scenarios/lab/kubernetes"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		stop()
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	for _, get := range kubernetes.All() {
		began := time.Now()
		p, err := get(ctx, slog.Default())
		if err != nil {
			return err
		}
		fmt.Printf("%s %s (%s)\n", p.Path, p.Version, time.Since(began).Round(time.Second))
	}
	return nil
}
