# Every command of this project, for people, for pre-commit and for CI: there is no second way to run a thing.
.DEFAULT_GOAL := help
SHELL := /bin/sh

PACKAGES := core operator api-server worker client cli
SOURCES := $(PACKAGES:%=%/src) hack tests
STEPS = python -m hack.steps
PYTEST = pytest $(PYTEST_ARGS)

export MAKE
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export UV_PYTHON ?= 3.11

CHECKS := format lint types layers lock members crds chart manifests docs workflows

##@ First steps

.PHONY: help
help: ## Show this help
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { printf "\n\033[1m%s\033[0m\n", substr($$0, 5) } \
	  /^[a-z0-9-]+:.*## / { printf "  \033[36m%-18s\033[0m %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: .venv/synced ## The whole first run: a cluster, DreamHub on it, documents, a question, an answer with citations
	@$(STEPS) cluster-up images install tour

.PHONY: tour
tour: .venv/synced ## The demo's story alone, on a cluster where DreamHub is installed
	@python -m hack.demo

##@ Cluster and installation

.PHONY: cluster-up
cluster-up: .venv/synced ## Bring up a local Kubernetes (kind); NODES=3 for more nodes
	@python -m hack.cluster up

.PHONY: cluster-down
cluster-down: .venv/synced ## Take it down: no process, mount, interface or rule stays
	@python -m hack.cluster down

.PHONY: images
images: .venv/synced ## Build the container images and load them into the local cluster
	@python -m hack.images

.PHONY: install
install: .venv/synced ## Install or upgrade DreamHub on the local cluster with Helm
	@python -m hack.install

##@ Tests

.PHONY: test
test: .venv/synced ## Every test: unit, then integration and e2e side by side, on the local cluster
	@$(STEPS) --keep-going --output closing test-unit cluster-up images install test-integration+test-e2e

.PHONY: test-unit
test-unit: .venv/synced ## Pure and fast: no network, no servers
	@python -m hack.host unit
	@$(PYTEST) tests/unit

.PHONY: test-integration
test-integration: .venv/synced ## Against real PostgreSQL, Redis, S3 and API servers, started by the tests: two sets, side by side
	@python -m hack.host integration
	@$(PYTEST) --numprocesses 2 --dist loadfile tests/integration tests/hostile

.PHONY: test-e2e
test-e2e: cluster-up images install ## What a user does, on the local cluster
	@$(PYTEST) tests/e2e

.PHONY: test-long
test-long: .venv/synced ## Ten thousand steps of two tenants at once, in any order: about five minutes
	@python -m hack.host integration
	@DREAMHUB_TEST_STEPS=10000 $(PYTEST) tests/integration/isolation/test_machine.py

.PHONY: test-valkey
test-valkey: .venv/synced ## What speaks to Redis, on Valkey; its valkey-server must be installed
	@python -m hack.host integration
	@DREAMHUB_TEST_REDIS=valkey-server $(PYTEST) tests/integration/storage tests/integration/probes/test_redis.py tests/integration/worker/test_shared_run.py

.PHONY: chaos
chaos: .venv/synced ## Kill workers, operator, Redis and PostgreSQL, one a second, during a large run: about ten minutes; CHAOS_ARGS="--mutant no-fencing"
	@python -m hack.host integration
	@python -m tests.chaos $(CHAOS_ARGS)

.PHONY: walls
walls: .venv/synced ## Take down each wall between tenants in turn and see which test notices: about six minutes
	@python -m hack.host integration
	@python -m tests.walls $(WALLS_ARGS)

.PHONY: bench
bench: cluster-up images install ## Measure: prints one table and writes build/bench.json
	@python -m hack.host integration
	@python -m tests.bench

.PHONY: bench-tenants
bench-tenants: .venv/synced ## Measure many tenants at once without a cluster; COUNT=500
	@python -m hack.host integration
	@python -m tests.bench.tenants --count $(or $(COUNT),500)

##@ Code

.PHONY: check
check: .venv/synced ## All checks of pre-commit and CI; one alone: make check-format, -lint, -types, ...
	@$(STEPS) --keep-going --output failures $(CHECKS:%=check-%)

.PHONY: format
format: .venv/synced ## Format the code and regenerate what is generated
	@ruff format .
	@ruff check --fix-only --quiet .
	@python -m dreamhub.crd
	@python -m hack.chart
	@python -m hack.checks.error_codes --write

.PHONY: hooks
hooks: .venv/synced ## Let git run the checks before each commit
	@pre-commit install

.PHONY: clean
clean: ## Remove what was built in this clone (the cluster's cache stays: make cluster-down, then rm -r ~/.cache/dreamhub)
	@rm -rf .venv .tools build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# ---- single checks -----------------------------------------------------------------------------------------------

.PHONY: $(CHECKS:%=check-%)
$(CHECKS:%=check-%): .venv/synced

check-format:
	@ruff format --check --quiet .

check-lint:
	@ruff check --quiet .

check-types:
	@mypy --no-error-summary $(SOURCES)

check-layers:
	@lint-imports

check-lock:
	@hack/uv lock --check --quiet

check-members:
	@python -m hack.checks.members

check-crds:
	@python -m dreamhub.crd --check

check-chart:
	@python -m hack.checks.chart
	@python -m hack.chart --check

check-manifests:
	@python -m hack.checks.manifests

check-docs:
	@python -m hack.checks.error_codes

check-workflows:
	@python -m hack.checks.workflows

# ---- environment -------------------------------------------------------------------------------------------------

.venv/synced: uv.lock pyproject.toml $(PACKAGES:%=%/pyproject.toml) hack/uv
	@echo "Preparing the Python environment in .venv" >&2
	@hack/uv sync --all-packages --locked --quiet
	@touch $@
