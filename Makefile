# The whole manual: make help
#
# Everything runs without asking, so that it is the same by hand and on a build machine.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv/bin

# SAM neither reports home nor asks an index for a newer self.
SAM := __SAM_CLI_APP_DIR="$(CURDIR)/.venv/sam" SAM_CLI_TELEMETRY=0 $(VENV)/sam

# The functions are the folders below functions/; each is a package with a binary of that name.
FUNCTIONS := $(notdir $(patsubst %/Cargo.toml,%,$(wildcard functions/*/Cargo.toml)))

# What AWS runs them on; the template's parameter of the same name has to agree.
ARCHITECTURE ?= arm64
TARGET := $(if $(filter arm64,$(ARCHITECTURE)),aarch64,x86_64)-unknown-linux-gnu

##@ Use it

run: tools ## Start everything on this machine, deploy, tell the story, and serve until Ctrl-C
	@$(VENV)/python local/commands.py run

stop: ## End the local stack; its state stays in .local
	@if [ -x $(VENV)/python ]; then $(VENV)/python local/commands.py stop; else echo "No local stack is running."; fi

story: tools ## Tell the story again, with a new customer
	@$(VENV)/python local/commands.py story

token: tools ## A fresh token for the local API: WHO=acme (default), any other customer, admin, or service
	@WHO="$(WHO)" $(VENV)/python local/commands.py token

walk: tools ## Time passes: BY=P1Y for everyone, or one customer alone (WHO=acme); without BY, on to where it was to end
	@WHO="$(WHO)" BY="$(BY)" $(VENV)/python local/commands.py walk

deploy-local: tools ## Build, and deploy onto the running local stack
	@$(VENV)/python local/commands.py deploy

deploy-sample: tools ## Deploy tests/sample-saas, whose routes plans open, onto the running local stack, and print its address
	@$(VENV)/python local/commands.py sample

catalogue: tools ## Load plans: FILE=catalogue/estates.json, into the local stack or STACK=<name in AWS>
	@[ -n "$(FILE)" ] || { echo "Which one? make catalogue FILE=catalogue/estates.json [STACK=perennial]" >&2; exit 2; }
	@$(VENV)/python local/catalogue.py $(if $(STACK),--stack "$(STACK)",--local .local) $(FILE)

gateway-drift: tools ## How Stripe's products and prices differ from the plans, changing nothing; of the local stack or STACK=…
	@$(VENV)/python local/gateway_sync.py $(if $(STACK),--stack "$(STACK)",--local .local) --drift

gateway-sync: tools ## Bring them in line; FORCE=1 overwrites what was edited by hand there too
	@$(VENV)/python local/gateway_sync.py $(if $(STACK),--stack "$(STACK)",--local .local) $(if $(FORCE),--force-update)

bulk-assign: ## Give plans to the customers of a CSV file: FILE=customers.csv, on the local stack or API=https://…
	@[ -n "$(FILE)" ] || { echo "Which one? make bulk-assign FILE=customers.csv [API=https://…]" >&2; exit 2; }
	@$(PYTHON) local/bulk.py assign $(if $(API),--api "$(API)",--local .local) $(if $(DRY_RUN),--dry-run) "$(FILE)"

bulk-administer: ## Do for the customers of a CSV file what staff do for one: FILE=customers.csv, on the local stack or API=https://…
	@[ -n "$(FILE)" ] || { echo "Which one? make bulk-administer FILE=customers.csv [API=https://…]" >&2; exit 2; }
	@$(PYTHON) local/bulk.py administer $(if $(API),--api "$(API)",--local .local) $(if $(DRY_RUN),--dry-run) "$(FILE)"

import: ## Take over the subscriptions of a CSV file, charging nothing: FILE=customers.csv; DRY_RUN=1 says what would be
	@[ -n "$(FILE)" ] || { echo "Which one? make import FILE=customers.csv [DRY_RUN=1] [API=https://…]" >&2; exit 2; }
	@$(PYTHON) local/bulk.py import $(if $(API),--api "$(API)",--local .local) $(if $(DRY_RUN),--dry-run) "$(FILE)"

##@ Change it

build: ## Compile everything, tests included
	cargo build --locked --workspace --all-targets

lint: tools format-check clippy templates ## Formatting, clippy and the templates

# The order is by how soon each finds something; one profile and one target folder throughout, so nothing is built twice.
test: tools format-check clippy build unit templates end-to-end ## Everything that has to hold: what .ci/run runs

format-check:
	cargo fmt --all --check

clippy:
	cargo clippy --locked --workspace --all-targets -- -D warnings

unit:
	cargo test --locked --workspace
	$(PYTHON) tests/simulation/planted.py --every 3

templates: tools
	$(VENV)/cfn-lint template.yaml infra/*.yaml tests/sample-saas/template.yaml
	AWS_DEFAULT_REGION=us-east-1 $(SAM) validate --lint

# On a stack of their own, on ports of their own: a local stack that is running is not disturbed.
end-to-end: tools
	$(VENV)/python -m pytest -o pythonpath=local -o cache_dir=.local/pytest $(PYTEST) tests/end-to-end

simulate: ## The simulation on other seeds: SEEDS=7000000..7020000, or one of them alone (make test: 0..20000)
	@[ -n "$(SEEDS)" ] || { echo "Which ones? make simulate SEEDS=7000000..7020000" >&2; exit 2; }
	SEEDS="$(SEEDS)" cargo test --locked -p simulation --test simulation

planted: ## Every planted bug, and what finds it: some twenty minutes (make test: every third)
	$(PYTHON) tests/simulation/planted.py

exhaustive: ## Every interleaving of all who are about one renewal, with MISHAPS=2 in a run (make test: 1)
	MISHAPS=$(or $(MISHAPS),2) cargo test --locked -p simulation --test exhaustive

# First those who tell in a second; of what they miss, the simulation and those beside it. Two tests take longer than all others
# together and tell of little that these do not: they are left to the second round, which tries a few in a hundred. What is known
# from a run before is not tried again: it may be killed and goes on, and some hours on two cores are enough for the whole.
MUTANTS = cargo mutants --package billing --jobs 2 --timeout 300 --output target --iterate \
    $(if $(SHARD),--shard "$(SHARD)") $(if $(FILE),--file "$(FILE)")
SLOW = --skip however_many_reserve_use_and_release_at_once --skip nothing_that_a_case_says_is_a_panic
mutants: ## Change the domain in every way, and see whether a test notices: SHARD=3/40, FILE=… for a part (installs cargo-mutants)
	@command -v cargo-mutants >/dev/null || cargo install --locked cargo-mutants
	$(MUTANTS) --profile mutants --test-package billing,billing-cases,journeys -- --all-targets -- $(SLOW) || [ $$? = 2 ]
	SEEDS=$(or $(SEEDS),0..2000) $(MUTANTS) --test-package simulation,billing-cases,journeys -- --all-targets

check-vectors: ## Run a file of signature test vectors: FILE=… of the form of tests/contracts/vectors.json (default: that one)
	@cargo run --locked --quiet --package tests --bin check-vectors -- "$(FILE)"

billing-cases: ## Run a file of billing cases: FILE=… of the form of tests/billing-cases/cases.json (default: that one)
	@cargo run --locked --quiet --package billing-cases -- "$(FILE)"

SIZES ?= 1000,10000,100000,1000000
bench-renewals: ## What a renewal costs, beside SIZES=1000,10000 others (default: up to a million), and the bill by PRICES=…
	@cargo run --locked --quiet --package tests --bin bench-renewals -- "$(SIZES)" "$(PRICES)"

bench-usage: ## What consuming tokens and reporting a use cost, and how many a second one core takes
	@cargo run --locked --quiet --package tests --bin bench-usage

bench-entitlements: ## How many signed entitlements a second one core verifies; with Node, the npm package too
	@cargo run --locked --quiet --package tests --bin bench-entitlements
	@if command -v node >/dev/null; then echo && node tests/bench/entitlements.mjs; else echo "No node: the npm package is not measured."; fi

fuzz: ## Fuzz the webhook parsers and verifiers, a minute each: FUZZ_SECONDS, FUZZ_RUNS, FUZZ_TARGETS
	@$(PYTHON) tests/fuzz/run.py

# Each gateway's own client library is a second opinion on how it speaks. They are JavaScript, which make test does without.
test-simulator: ## The gateways' own SDKs against the simulator: needs Node, and is no part of make test
	@node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 15) ? 0 : 1)' 2>/dev/null \
	    && command -v npm >/dev/null || { echo "Node 20.15 or newer and npm are needed. Install with:" \
	    "apt-get install -y nodejs npm (Debian) or brew install node (macOS)" >&2; exit 2; }
	cargo build --locked -p gateway-simulator --bins
	@cd tests/gateway-simulator/sdks && { [ node_modules/.package-lock.json -nt package-lock.json ] || npm ci; } && npm test

deny: ## Licences, bans and advisories of the dependencies (installs cargo-deny)
	@command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
	cargo deny --workspace check

format: ## Format the code
	cargo fmt --all

tools: ## The virtual environment with the pinned tools, made once
	@$(PYTHON) local/tools.py

clean: stop ## Remove what was built, the tools and the local stack's state
	rm -rf target tests/fuzz/target .aws-sam .local .venv tests/gateway-simulator/sdks/node_modules

##@ Ship it (README: deploy to AWS)

release: release-tools ## The functions for AWS, in target/lambda: ARCHITECTURE=arm64 (default) or x86_64
	@# Cross-compiled against the C library of Amazon Linux 2023, whatever this machine has.
	PATH="$(CURDIR)/target/release-tools/bin:$$PATH" cargo lambda build --locked --release --target $(TARGET).2.34 \
	    $(addprefix --package ,$(FUNCTIONS)) --bins

deploy: tools ## Build for AWS and deploy, asking what it has to know
	$(SAM) build
	$(SAM) deploy --guided --parameter-overrides Architecture=$(ARCHITECTURE)

release-tools:
	@command -v rustup >/dev/null && rustup --quiet target add $(TARGET) || true
	@if [ ! -f target/release-tools/made ] || [ local/release-requirements.txt -nt target/release-tools/made ]; then \
	    rm -rf target/release-tools && $(PYTHON) -m venv target/release-tools \
	    && target/release-tools/bin/pip install --quiet --disable-pip-version-check -r local/release-requirements.txt \
	    && touch target/release-tools/made; fi

# `sam build` calls build-<LogicalId> for each function and wants a file called bootstrap. One cargo build makes them all, so
# these only copy. Where from is a question of who asks: the local stack has built (PERENNIAL_BINARIES names the folder), for
# this machine and with the tests' profile; anyone else is about to deploy to AWS and gets the release build for it.
ifdef PERENNIAL_BINARIES
build-%:
	@cp "$(PERENNIAL_BINARIES)/$(call binary,$*)" "$(ARTIFACTS_DIR)/bootstrap"
else
build-%: release
	@cp "target/lambda/$(call binary,$*)/bootstrap" "$(ARTIFACTS_DIR)/bootstrap"
endif

# CreatePayment -> create-payment. One binary serves every gateway's webhooks: GatewayWebhookStripe -> gateway-webhook
binary = $(patsubst gateway-webhook-%,gateway-webhook,$(call dashed,$(1)))
dashed = $(shell printf '%s' '$(1)' | sed -E 's/([a-z0-9])([A-Z])/\1-\2/g' | tr '[:upper:]' '[:lower:]')

help: ## This
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
	    /^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo

.PHONY: run stop story token walk bulk-assign bulk-administer import deploy-local deploy-sample catalogue gateway-drift gateway-sync \
    build lint test format-check clippy unit templates end-to-end simulate exhaustive mutants check-vectors billing-cases \
    bench-renewals bench-usage bench-entitlements planted fuzz test-simulator deny format tools clean release deploy release-tools help
.NOTPARALLEL:
