// Package apiservertest gives a test a real Kubernetes API server. It is for
// tests with the build tag e2e: the first use on a machine builds one from
// source, which takes minutes.
package apiservertest

import (
	"context"
	"log/slog"
	"testing"

	"kasgen/scenarios/lab/apiserver"
)

// Start starts one that ends with the test.
func Start(t testing.TB) *apiserver.Server {
	t.Helper()
	s, err := apiserver.Start(context.Background(), apiserver.Options{Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
