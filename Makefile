# The commands of the house; `make` alone lists them.
#
# A fresh Debian machine needs Go, git, gcc and make: the rest comes by itself.

GO      ?= go
BIN     := $(CURDIR)/.bin
MODULES := $(patsubst %/go.mod,%,$(wildcard conformance/go.mod participant/go.mod))

# command:package of what some tests drive besides Go; without it they are skipped and say so.
NEEDS   := openssl:openssl curl:curl chromium:chromium

# Fuzzing time for each target of `make fuzz`, length of `make soak`.
FUZZTIME ?= 30s
SOAKTIME ?= 60s

.PHONY: help build install test race lint generate generated conformance console bench chaos soak fuzz needs tools clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

build: ## build ./maru
	$(GO) build -o maru ./cmd/maru

install: ## install maru into Go's bin folder
	$(GO) install ./cmd/maru

test: needs ## run all tests, those of the conformance module too
	$(GO) vet ./...
	$(GO) test ./...
	$(GO) test -tags poison ./message ./http1 ./filter ./edge
	$(MAKE) --no-print-directory conformance

race: ## run the tests with the race detector
	$(GO) test -race ./...

lint: tools ## run the linters; find dead code and outdated Go
	$(BIN)/golangci-lint run --allow-parallel-runners ./...
	@out=$$($(GO) fix -diff ./...); test -z "$$out" || { echo "$$out"; echo "run go fix ./..."; exit 1; }
	@out=$$($(BIN)/deadcode -test ./...); test -z "$$out" || { echo "$$out"; exit 1; }

generate: ## write again what is made from the code: schema, tables, dependency list
	$(GO) generate ./...

generated: generate ## fail when something generated was not committed
	@out=$$(git status --porcelain); test -z "$$out" || { echo "$$out"; git --no-pager diff --stat; echo "run make generate and commit"; exit 1; }

conformance: ## run the foreign suites: modules of their own, so that the binary stays small
	@set -e; for m in $(MODULES); do echo "$$m:"; (cd $$m && $(GO) test -p 1 ./...); done # a browser wants the machine for itself

console: ## build the console's pages into ui/dist (needs Node 20 and npm 11); commit the result
	npm --prefix console-src ci --no-audit --no-fund
	npm --prefix console-src test
	npm --prefix console-src run build

bench: build ## measure maru beside nginx, HAProxy and Caddy; writes docs/benchmarks.md
	$(GO) run ./bench

chaos: build ## break services behind maru, HAProxy and nginx, side by side; writes docs/chaos.md
	$(GO) run ./bench/chaos -maru ./maru

soak: ## run the long tests: reloads, endpoint changes and an upgrade under load
	MARU_SOAK=$(SOAKTIME) $(GO) test -count 1 -timeout 60m -run Soak ./...

fuzz: ## fuzz every parser, FUZZTIME each (default 30s)
	@set -e; for p in $$($(GO) list ./...); do \
		for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
			echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$p; \
		done; \
	done

needs: # install what the tests drive, where that is allowed
	@missing=; for n in $(NEEDS); do command -v $${n%%:*} >/dev/null || missing="$$missing $${n##*:}"; done; \
	if [ -n "$$missing" ]; then \
		if ! command -v apt-get >/dev/null; then echo "not here, tests that need them are skipped:$$missing"; \
		elif [ "$$(id -u)" = 0 ]; then apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing >/dev/null; \
		elif sudo -n true 2>/dev/null; then sudo apt-get update -qq && sudo apt-get install -qq -y --no-install-recommends $$missing >/dev/null; \
		else echo "not here, tests that need them are skipped:$$missing (apt-get install$$missing)"; fi; \
	fi

tools: $(BIN)/golangci-lint # the linters, built at the versions of tools/go.mod

$(BIN)/golangci-lint: tools/go.mod tools/go.sum
	$(GO) build -C tools -o $(BIN)/ tool
	@touch $@

clean: ## remove what was built
	rm -rf maru $(BIN) bench/out
