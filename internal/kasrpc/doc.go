// Package kasrpc holds the messages and services that agents and kas exchange,
// one folder a Go package. It owns the wire names and numbers and nothing of
// what is done with them. `make generate` rebuilds the Go files.
package kasrpc

//go:generate ./generate.sh
