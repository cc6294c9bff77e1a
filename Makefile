# kasgen: `make demo` shows the main job, `make test` runs every test.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
.DEFAULT_GOAL := build
GO ?= go
# V=-v prints what tests say that pass: counts, and why others are skipped.
V ?=
# Test binaries link Kubernetes' client; two at a time is what a small machine bears.
P ?= 2
# Packages with tests against a real Kubernetes API server.
E2E := ./scenarios/e2e
E2E_PACKAGES := etcd-server containerd runc busybox-static haproxy nginx libnginx-mod-stream
PACKAGES := haproxy nginx libnginx-mod-stream groff-base ruby systemd zsh fish

# Suites that print a count of their own, which belongs into every log.
SUITES := ./scenarios/conformance ./scenarios/suite
COUNTED := ^(conformance|h2spec|interop):

.PHONY: build demo test conformance programs e2e tools lint vet bench fuzz generate man completion image clean

build: ## the kasgen binary
	$(GO) build -trimpath -o kasgen .

demo: build ## topology A: rendered, run, and every kubectl operation tried through it
	./kasgen demo --topology=A --once

tools: ## what tests need from Debian's packages
	@.ci/tools $(PACKAGES)

# The cache of tests knows nothing of nginx, HAProxy and the other judges.
test: tools vet ## every test, with the race detector
	@failed=0; \
	$(GO) test -count=1 -race -p $(P) -timeout 40m $(V) $$($(GO) list ./... | grep -vxF "$$($(GO) list $(SUITES))") || failed=1; \
	GO="$(GO)" COUNTED='$(COUNTED)' .ci/suites -count=1 -race -p $(P) -timeout 20m $(SUITES) || failed=1; \
	exit $$failed

conformance: ## every behaviour on the embedded and the real nginx and HAProxy
	@.ci/tools haproxy nginx libnginx-mod-stream
	@GO="$(GO)" COUNTED='$(COUNTED)' .ci/suites -count=1 ./scenarios/conformance

programs: ## Kubernetes' programs for e2e, built from source into the user's cache unless they are there
	$(GO) run ./scenarios/lab/kubernetes/programs

e2e: programs ## every operation through every topology on a real Kubernetes API server
	@.ci/tools $(E2E_PACKAGES)
	$(GO) test -count=1 -tags e2e -p 1 -timeout 30m -run '^TestKubernetes' -v $(E2E)

vet:
	$(GO) vet ./...

lint: ## formatting, vet and golangci-lint
	.ci/lint

bench: ## every benchmark, in the form that benchstat reads
	$(GO) test -run '^$$' -bench . -benchtime 1x -count $(or $(COUNT),1) -timeout 60m ./...

FUZZTIME ?= 30s
fuzz: ## each fuzz target for FUZZTIME
	@set -e; for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
	    echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$p; \
	  done; done

generate: ## Go code of the .proto files; needs protobuf-compiler and libprotobuf-dev
	internal/kasrpc/generate.sh

man: build ## a man page for each command, in build/man
	./kasgen man build/man

completion: build ## completion for bash, zsh, fish and PowerShell, in build/completion
	mkdir -p build/completion
	./kasgen completion bash > build/completion/kasgen.bash
	./kasgen completion zsh > build/completion/_kasgen
	./kasgen completion fish > build/completion/kasgen.fish
	./kasgen completion powershell > build/completion/kasgen.ps1

IMAGE_ARCHES ?= $(shell $(GO) env GOARCH)
image: ## the container image as an OCI archive, build/kasgen-image.tar; no daemon is needed
	@set -e; binaries=; for arch in $(IMAGE_ARCHES); do \
	  CGO_ENABLED=0 GOOS=linux GOARCH=$$arch $(GO) build -trimpath -ldflags '-s -w' -o build/image/kasgen-$$arch .; \
	  binaries="$$binaries $$arch=build/image/kasgen-$$arch"; done; \
	$(GO) run ./chart/image/build -o build/kasgen-image.tar -revision "$$(git rev-parse HEAD 2>/dev/null)" \
	  -created "$$(git log -1 --format=%ct 2>/dev/null || echo 0)" $$binaries

clean:
	rm -rf kasgen .cache build
