# Countersign. `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
GOTOOL := go tool -modfile=hack/tools/go.mod
BIN := bin
# The tag of images; the manifests name it.
IMAGE_TAG ?= dev
FUZZTIME ?= 10s
# What of the end-to-end tests runs, for example -run Foreign or -args -labels mode=redirect.
E2EFLAGS ?=

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build the static binaries into bin/
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/sidecar ./cmd/webhook ./cmd/kubectl-countersign

.PHONY: demo
demo: ## The whole request path on embedded stand-ins, told as a story
	@echo "Building the sidecar and the stand-ins; the first time this takes about two minutes on two cores."
	@CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/ ./cmd/sidecar ./hack/demo
	@$(BIN)/demo --sidecar $(BIN)/sidecar

.PHONY: quickstart
quickstart: ## A cluster (kind, or one node as root), Countersign, stand-ins, two people and an agent; the status page
	@hack/quickstart/run

.PHONY: test
test: ## All tests, with the race detector; builds a kube-apiserver the first time
	@assets="$$(go run ./hack/controlplane)"; \
	echo go test -race -timeout 15m ./...; \
	KUBEBUILDER_ASSETS="$$assets" go test -race -timeout 15m ./...

.PHONY: fuzz
fuzz: ## Each fuzz target for FUZZTIME
	@for target in $$(grep -rhoE '^func Fuzz[A-Za-z]+' --include=*_test.go pkg | awk '{print $$2}' | sort); do \
		package=$$(dirname $$(grep -rlE "^func $$target\(" --include=*_test.go pkg)); \
		echo "== $$target"; go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) ./$$package; \
	done

.PHONY: bench
bench: build ## Sidecar against a direct call and a sign-only proxy; webhook behind a real API server
	@go run ./hack/bench --sidecar $(BIN)/sidecar
	@echo
	@KUBEBUILDER_ASSETS="$$(go run ./hack/controlplane)" go run ./hack/admissionbench --webhook $(BIN)/webhook

# How long the soak takes.
SOAK ?= 10m

.PHONY: chaos
chaos: build ## What callers see while STS, issuer, DNS, upstream, clocks, config, disk or the sidecar fail: a table
	@go run ./hack/chaos --sidecar $(BIN)/sidecar

.PHONY: soak
soak: build ## SOAK (10m) of load with reloads, rotations and restarts; draws build/soak.svg
	@go run ./hack/chaos --sidecar $(BIN)/sidecar --soak $(SOAK)

.PHONY: images
images: ## OCI archives for linux/amd64 and linux/arm64, without a Docker daemon
	@go run ./hack/images --version $(IMAGE_TAG) --revision "$$(git rev-parse HEAD 2>/dev/null || true)"

.PHONY: cluster-up
cluster-up: ## A cluster of one node on this machine (Linux, root); prints its kubeconfig
	@hack/cluster/cluster up

.PHONY: cluster-down
cluster-down: ## Remove that cluster
	@hack/cluster/cluster down

.PHONY: e2e
e2e: ## Pods on a real cluster: kind where Docker runs, else one node built from Go modules (root)
	@hack/e2e/run $(E2EFLAGS)

.PHONY: e2e-kind
e2e-kind: ## The same on kind, with a Docker daemon and a node image made here where there are none (Debian, root)
	@hack/kind/with hack/e2e/run $(E2EFLAGS)

.PHONY: conformance
conformance: build ## MCP's official conformance suite, direct and through the sidecar
	@go run ./hack/conformance --sidecar $(BIN)/sidecar

.PHONY: clients
clients: build ## The npm clients that people use, through the sidecar and over its restart
	@go run ./hack/clients --sidecar $(BIN)/sidecar

.PHONY: idps
idps: build ## Identity providers that people run exchange callers' tokens: Dex, zitadel/oidc, npm's oidc-provider
	@cd hack/idps && SIDECAR="$(CURDIR)/$(BIN)/sidecar" go test -v -count=1 ./...

.PHONY: licences
licences: ## List the licences of what the programs link in docs/third-party.md; an error where one may not be shipped
	@cd hack/licences && go run . ../..

.PHONY: reproducible
reproducible: ## Make the images twice, at two paths, and compare the bytes
	@hack/release/reproducible

.PHONY: release
release: licences ## Archives, images with SBOMs, the chart, a krew manifest, notes and checksums in build/release: VERSION=v1.2.3
	@go run ./hack/release --version $(VERSION)

.PHONY: base
base: ## Render manifests/base from the Helm chart, which is its source
	@cd hack/chart && go run . base ../..

.PHONY: chart
chart: ## The Helm chart against a real API server with Helm itself: lint, install, upgrade, rollback, uninstall
	@assets="$$(go run ./hack/controlplane)"; \
	cd hack/chart && KUBEBUILDER_ASSETS="$$assets" go test -v -count=1 ./...

.PHONY: page
page: build ## The status page in a real Chromium, with axe-core; SCREENSHOTS=DIR keeps pictures
	@cd hack/page && SIDECAR="$(CURDIR)/$(BIN)/sidecar" go test -v -count=1 ./...

.PHONY: monitoring
monitoring: build ## The chart's alerts with promtool test rules, its dashboard's queries on what a real sidecar gives
	@# Without service discovery promtool is a tenth of the work.
	@CGO_ENABLED=0 go build -C hack/monitoring -trimpath -tags remove_all_sd -o "$(CURDIR)/build/promtool" github.com/prometheus/prometheus/cmd/promtool
	@cd hack/monitoring && SIDECAR="$(CURDIR)/$(BIN)/sidecar" PROMTOOL="$(CURDIR)/build/promtool" go test -v -count=1 ./...

.PHONY: lint
lint: ## gofmt, go vet, golangci-lint, govulncheck where it can reach its database
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	go vet -tags e2e ./...
	cd hack/idps && go vet ./...
	cd hack/chart && go vet ./...
	cd hack/page && go vet ./...
	cd hack/monitoring && go vet ./...
	cd hack/crosscheck && go vet . && go run . ../..
	$(GOTOOL) golangci-lint run --build-tags e2e ./...
	@if curl -fsS -o /dev/null -m 10 https://vuln.go.dev/index/db.json 2>/dev/null; then \
		$(GOTOOL) govulncheck ./...; \
	else echo "govulncheck: skipped, its database cannot be reached from here"; fi

.PHONY: clean
clean: ## Remove what was built
	rm -rf $(BIN) build .cache
