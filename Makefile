# Mayfly. `make help` lists the targets.

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

export CGO_ENABLED := 0
export GOTOOLCHAIN ?= local
# The same flags everywhere, so that builds and tests share what is compiled. The version comes from LDFLAGS.
# The tag leaves out an interpreter of WebAssembly, which NRI's library would bring along: 2.6 MB.
export GOFLAGS := -trimpath -buildvcs=false -tags=nri_no_wasm

COMMIT     := $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
STATE      := $(shell test -z "$$(git status --porcelain 2>/dev/null)" && echo clean || echo dirty)
# Reproducible: the date of the commit, not of the build.
BUILD_DATE := $(shell TZ=UTC git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd 2>/dev/null || echo 1970-01-01T00:00:00Z)
KUBERNETES := 1.37.2
VERSION    := v$(KUBERNETES)+mayfly.$(COMMIT)

V       := k8s.io/component-base/version
LDFLAGS := -s -w \
	-X $(V).gitVersion=$(VERSION) -X $(V).gitMajor=1 -X $(V).gitMinor=37 \
	-X $(V).gitCommit=$(COMMIT) -X $(V).gitTreeState=$(STATE) -X $(V).buildDate=$(BUILD_DATE)
BUILD   := go build -ldflags
# Stripped as well: linking is most of the work of a test that nothing changed for.
TEST    := go test -ldflags '-s -w'

# The monitor of a Pod is embedded into mayfly; internal/launch/README.md tells why it is a program of its own.
MONITOR := internal/launch/monitor/binary/dist/podmonitor

FUZZTIME ?= 20s
RUNS     ?= 30

.PHONY: build
build: monitor ## Build bin/mayfly, static
	@mkdir -p bin
	$(BUILD) '$(LDFLAGS)' -o bin/mayfly ./cmd/mayfly

.PHONY: monitor
monitor: ## Build the Pod monitor that is embedded into mayfly
	@mkdir -p $(dir $(MONITOR))
	$(BUILD) '-s -w' -o $(MONITOR) ./cmd/podmonitor

.PHONY: tools
tools: ## Get what the end-to-end tests run: busybox, kubectl 1.32 and 1.20, runc, crun, the test program
	./hack/tools.sh

.PHONY: demo
demo: build tools ## Watch ephemeral containers happen: a throw-away Mayfly, real kubectl, every command shown
	go run ./test/demo

.PHONY: test
test: test-unit test-e2e ## Run all tests: unit, recorded API cases, end-to-end stories

.PHONY: test-unit
test-unit: monitor tools ## Run the unit tests, as root
	$(TEST) -timeout=20m ./cmd/... ./internal/... ./test/arch/... ./test/harness/... ./test/image/... ./test/bench/...

.PHONY: race
race: monitor tools ## Run the unit tests under the race detector, as root: half an hour, and a C compiler
	CGO_ENABLED=1 go test -race -timeout=60m ./internal/...

.PHONY: test-e2e
test-e2e: build tools ## Run the recorded API cases and the end-to-end stories on the built binary, as root
	$(TEST) -count=1 -timeout=20m ./test/contract/... ./test/script/...

.PHONY: bench
bench: build tools ## Measure speed and memory beside their targets; RUNS=30, ONLY='Pods|exec'
	go run ./test/bench -runs $(RUNS) -only '$(ONLY)'

.PHONY: lint
lint: ## Check formatting, vet, and golangci-lint where it is installed
	@unformatted=$$(gofmt -l cmd internal test hack); test -z "$$unformatted" || { echo "gofmt: $$unformatted"; exit 1; }
	go vet ./cmd/... ./internal/... ./test/...
	go test ./test/arch/...
	@if command -v golangci-lint >/dev/null; then golangci-lint run; else echo "golangci-lint is not installed: its checks did not run"; fi

.PHONY: generate
generate: monitor ## Generate code anew
	go generate ./...

.PHONY: verify
verify: ## Generate anew and fail when anything differs from what is committed
	./hack/verify.sh

.PHONY: fuzz
fuzz: monitor ## Run every fuzz target for a while; FUZZTIME=20s
	./hack/fuzz.sh $(FUZZTIME)

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
