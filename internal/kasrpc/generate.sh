#!/usr/bin/env bash
# Rebuilds the Go code of the .proto files. Needs protoc (Debian packages
# protobuf-compiler and libprotobuf-dev); the plugins are tools in go.mod.
set -euo pipefail
cd "$(dirname "$0")"
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
go build -o "$bin/" google.golang.org/protobuf/cmd/protoc-gen-go google.golang.org/grpc/cmd/protoc-gen-go-grpc
# google/rpc/status.proto is found in this folder's third-party copy of the
# interface only: its Go code is google.golang.org/genproto's.
PATH="$bin:$PATH" protoc -I . -I googleapis \
  --go_out=. --go_opt=module=kasgen/internal/kasrpc \
  --go-grpc_out=. --go-grpc_opt=module=kasgen/internal/kasrpc \
  prototool/*.proto grpctool/*.proto tunnel/*.proto agent/*.proto kubeapi/*.proto \
  serverinfo/*.proto agenttracker/*.proto
