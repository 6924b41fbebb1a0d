# Countersign. `make demo` shows it, `make test` is everything CI checks, `make help` lists the rest.

CARGO ?= cargo
export PATH := $(CURDIR)/target/tools/bin:$(PATH)
export RUST_BACKTRACE ?= 0

.DEFAULT_GOAL := help
.PHONY: help demo test setup setup-test format-check clippy unit prove doc examples deny instructions demo-once walk binary build dist trained bench bench-scale peers image fmt clean

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-14s %s\n", $$1, $$2 }'

demo: setup ## build, start everything on loopback, print curl lines that succeed, are refused, renew
	$(CARGO) run --locked --quiet -- demo

test: setup-test format-check clippy unit doc examples demo-once walk deny instructions ## everything CI checks
	@echo "make test: all checks passed"

setup: ## install what building needs, or name what is missing
	@scripts/setup demo

setup-test:
	@scripts/setup test

format-check:
	$(CARGO) fmt --all --check

clippy: ## lints, on every target, none tolerated
	$(CARGO) clippy --locked --all-targets -- -D warnings

# No test waits for ever, but whoever writes one that does finds out within the hour, and by its name.
LIMIT := $(shell command -v timeout >/dev/null 2>&1 && echo timeout --foreground --kill-after=30 3000)

unit: ## every test, the architecture of the tree among them
	$(LIMIT) $(CARGO) test --locked

# What has full figures, or is one of the drills of state and renewal. One at a time: each wants the machine for itself.
PROOFS := models_ renewal:: flight:: oidc_renewal:: oidc_storm:: revocation::redis:: state::embedded:: state::faults:: state::kills:: state::redis::

prove: setup-test ## the full figures of storms, drills, kills and models; CI tries a fiftieth of them
	COUNTERSIGN_PROVE=1 $(CARGO) test --locked --release --test suite -- --test-threads=1 --nocapture $(PROOFS)

doc: ## the documentation builds without a warning
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps

binary:
	$(CARGO) build --locked --quiet

examples: binary ## every conf that ships is one that `countersign check` accepts
	@scripts/check-examples

walk: binary ## the walks of README and guides, run line by line
	@scripts/walk

demo-once: binary ## every demo request, run and compared with what it should give
	target/debug/countersign demo --once

deny: ## licences, sources and banned crates of the whole tree
	$(CARGO) deny --log-level error check bans licenses sources

instructions: ## instructions per request on the hot path, against benches/instructions.json
	@scripts/instructions

build: setup ## a release build for work
	$(CARGO) build --locked --release

dist: setup ## the build that goes into the image: fat LTO, one codegen unit
	$(CARGO) build --locked --profile dist

trained: setup ## the same, laid out by what it does under load: profile-guided, twice as long to build
	@scripts/trained

bench: setup ## time per stage, for people
	$(CARGO) bench --locked

bench-scale: build ## what several processes over one Redis spend on the same work
	@scripts/bench-scale

ROUNDS ?= 9
SECONDS_EACH ?= 2

peers: setup ## the same work through HAProxy, Envoy, nginx, Caddy and Countersign, into docs/performance.md; LOGS=1 with access logs, TRAINED=1 with that build
	benches/peers/run --write --rounds $(ROUNDS) --seconds $(SECONDS_EACH) $(if $(LOGS),--logs) $(if $(TRAINED),--binary "$$(scripts/trained)")

image: ## the container image
	docker build -t countersign .

fmt: ## format the tree
	$(CARGO) fmt --all

clean: ## forget every build
	$(CARGO) clean
