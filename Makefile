# `make` or `make help` lists the targets and the variables.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

# -- variables: override any of them, e.g. `make e2e CLUSTER=kind CNI=calico KEEP=1`
CLUSTER   ?= auto
CNI       ?= calico
SCENARIOS ?= scenarios
WORKERS   ?= auto
KEEP      ?=
NAME      ?= $(or $(NETPOL_KIND_NAME),netpol)
CONTEXT   ?=
OFFLINE   ?= $(NETPOL_OFFLINE)
INSTALL   ?= yes
WHEEL     ?=
BASE      ?=
ARGS      ?=
PYTHON    ?= python3
VENV      ?= .venv

BIN := $(VENV)/bin
# nft lives in /usr/sbin, which is not on the PATH of every user.
export PATH := $(abspath $(BIN)):$(PATH):/usr/sbin:/sbin
export ARGS
export NETPOL_OFFLINE := $(OFFLINE)
export NETPOL_KIND_NAME := $(NAME)
# Without compiled files every process that starts compiles all that it imports, for about a second.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## list the targets and variables
	@echo "usage: make TARGET [VARIABLE=value ...]"; echo
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## /  \1|/p' Makefile | awk -F'|' '{printf "%-16s %s\n", $$1, $$2}'
	@echo; echo "variables"
	@echo "  CLUSTER=auto     auto, netns (embedded), kind (created and deleted), current (your kubeconfig)"
	@echo "  CNI=calico       with kind: the CNI profile, by name or path; with current: the profile of its CNI"
	@echo "  SCENARIOS=...    files or folders instead of scenarios"
	@echo "  WORKERS=auto     parallel workers of pytest, 0 for one process; auto: one per core, two on netns"
	@echo "  NAME=netpol      with kind: the cluster's name"
	@echo "  CONTEXT=...      with current: the name of a context in your kubeconfig"
	@echo "  KEEP=1           with kind: keep the cluster, and reuse it the next time"
	@echo "  OFFLINE=DIR      download nothing for clusters; DIR holds images and manifests (NETPOL_OFFLINE)"
	@echo "  INSTALL=yes      where nft or Chromium is missing, root gets it through apt-get; no: say what to install"
	@echo "  WHEEL=FILE       with test-wheel: this wheel instead of a new one"
	@echo "  BASE=IMAGE       with image: this base instead of the one of the Dockerfile"
	@echo "  ARGS=...         more arguments for pytest, e.g. ARGS='-k three-tier'"
	@echo "  PYTHON, VENV     the Python of the virtual environment (python3), and its folder (.venv)"

# ---------------------------------------------------------------- environment

RUN_STAMP := $(VENV)/.netpol-run
DEV_STAMP := $(VENV)/.netpol-dev

# Only what running scenarios needs; the tools of development come with DEV_STAMP.
$(RUN_STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer is needed, $(PYTHON) is $$($(PYTHON) -V 2>&1)"; \
	  echo "hint: make PYTHON=python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments: its modules venv and ensurepip are missing"; \
	  echo "hint: on Debian and Ubuntu, apt install python3-venv"; exit 1; }
	@echo "virtual environment: $(VENV), packages from the index that pip is configured for (about a minute)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@# Without --no-compile half of the time goes into files that are never imported.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile \
	  --constraint constraints.txt --editable .
	@touch $@

$(DEV_STAMP): $(RUN_STAMP)
	@echo "virtual environment: tools for tests and checks"
	@# --group is pip 25.1's.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile \
	  --constraint constraints.txt --group dev
	@touch $@

# Otherwise each of the workers compiles what the tests import, all at the same time.
COMPILED_STAMP := $(VENV)/.netpol-compiled
$(COMPILED_STAMP): $(DEV_STAMP)
	@$(BIN)/pytest tests --collect-only -q > /dev/null 2>&1 || true
	@touch $@

.PHONY: setup
setup: $(DEV_STAMP) ## create the virtual environment with everything that tests and checks need

LOCKED := dev docs release workflows
.PHONY: lock
lock: $(DEV_STAMP) ## update constraints.txt to the newest versions that pyproject.toml allows
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group lock
	@head=$$(sed -n '1{/^#/p;}' constraints.txt); \
	locked=$$($(BIN)/uv pip compile pyproject.toml $(addprefix --group ,$(LOCKED)) --universal --python-version 3.11 \
	  --no-annotate --no-header --quiet); \
	printf '%s\n' "$$head" "$$locked" > constraints.txt

.PHONY: nft
nft:
	@if command -v nft >/dev/null; then exit 0; fi; \
	if [ "$(INSTALL)" = yes ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "the embedded cluster needs nft: apt-get install nftables"; \
	  apt-get install -y -qq nftables >/dev/null 2>&1 \
	    || { apt-get update -qq && apt-get install -y -qq nftables >/dev/null; }; \
	else \
	  echo "the embedded cluster needs nft, which is not here"; \
	  echo "hint: install the package nftables, then run this again"; exit 1; \
	fi

# Without it, the tests of the HTML report in a browser are skipped.
.PHONY: chromium
chromium:
	@if command -v chromedriver >/dev/null; then exit 0; fi; \
	if [ "$(INSTALL)" = yes ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "the tests of the HTML report need Chromium: apt-get install chromium chromium-driver"; \
	  apt-get install -y -qq chromium chromium-driver >/dev/null 2>&1 \
	    || { apt-get update -qq && apt-get install -y -qq chromium chromium-driver >/dev/null; } \
	    || echo "Chromium cannot be installed here: the tests that need it are skipped"; \
	fi

# ---------------------------------------------------------------- running

.PHONY: no-canary-off
no-canary-off:
	@case "$$ARGS $${PYTEST_ADDOPTS:-}" in *--netpol-canary?off*) \
	  echo "make e2e does not run without the canary: a cluster that enforces nothing would only show late, as many failures"; \
	  echo "hint: it may be off with a defect switched on: netpol run FILE --defect=NAME --canary=off"; exit 2;; esac

# A malformed file is reported alone, before any cluster exists: with workers, pytest would run the others.
.PHONY: collect
collect: $(RUN_STAMP)
	@out=$$($(BIN)/pytest $(SCENARIOS) --collect-only -q -p no:cacheprovider 2>&1) || { printf '%s\n' "$$out"; exit 1; }

.PHONY: e2e
e2e: no-canary-off $(RUN_STAMP) collect ## run every scenario with real packets, and print the truth tables
	@cluster=$$($(BIN)/netpol choose $(CLUSTER) --cni=$(CNI)); \
	options=--netpol-cluster=$$cluster; workers=$(WORKERS); \
	case $$cluster in \
	netns) \
	  $(MAKE) nft; \
	  [ $$workers != auto ] || workers=$$(( $$(nproc) * 2 )) ;; \
	kind) \
	  options+=" --netpol-cni=$(CNI)"; \
	  [ -n "$(KEEP)" ] || trap '$(BIN)/netpol down' EXIT; \
	  $(BIN)/netpol up --cni=$(CNI) ;; \
	current) options+="$(if $(CONTEXT), --netpol-context=$(CONTEXT))$(if $(filter-out file,$(origin CNI)), --netpol-cni=$(CNI))" ;; \
	esac; \
	status=0; $(BIN)/pytest $(SCENARIOS) $$options -n $$workers --netpol-tables $(ARGS) || status=$$?; \
	[ $$status -ne 5 ] || status=3; \
	if [ $$cluster = kind ] && [ $$status -ne 0 ]; then $(BIN)/netpol logs results/logs || true; fi; \
	exit $$status

.PHONY: up
up: $(RUN_STAMP) ## create a kind cluster with its CNI
	@$(BIN)/netpol up --cni=$(CNI)

.PHONY: down
down: $(RUN_STAMP) ## delete that cluster
	@$(BIN)/netpol down

.PHONY: test
test: nft chromium $(COMPILED_STAMP) ## run the tests of the harness: unit, embedded cluster, plugin, contract, browser
	@$(BIN)/pytest tests -n 6 --dist loadgroup $(ARGS)

.PHONY: cover
cover: nft chromium $(COMPILED_STAMP) ## run the same tests, measure branch coverage of harness/, and fail below the minimum
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest tests -n 6 --dist loadgroup $(ARGS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

# What users install: the wheel, in an environment and a folder where nothing else is.
.PHONY: test-wheel
test-wheel: nft $(DEV_STAMP) ## build the wheel (or use WHEEL), install it in an empty environment, and run scenarios
	@folder=$$(mktemp -d); trap 'rm -rf "$$folder" $(abspath build)' EXIT; \
	rm -rf build; \
	examples=$(abspath scenarios/examples); wheel=$(abspath $(WHEEL)); \
	[ -n "$$wheel" ] || { \
	  $(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir "$$folder" .; \
	  wheel=$$(echo "$$folder"/*.whl); }; \
	$(BIN)/python -m venv "$$folder/venv"; \
	"$$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
	  --constraint constraints.txt "$$wheel"; \
	cd "$$folder"; unset PYTHONPATH; netpol=$$folder/venv/bin/netpol; \
	"$$netpol" version; \
	"$$netpol" init; \
	"$$netpol" check scenarios "$$examples"; \
	"$$netpol" run scenarios

# Where no image registry can be reached.
.PHONY: base-image
base-image: ## make netpol-base:local, a base for the image of the gate, from this machine's apt sources (root)
	@tools/base_image.sh netpol-base:local

# How pip finds packages: the environment says it, or else pip's own configuration.
PIP_VARIABLES := PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_FIND_LINKS PIP_NO_INDEX PIP_TRUSTED_HOST
.PHONY: image
image: ## build netpol:local, the image of the gate
	@arguments=($(if $(BASE),"BASE=$(BASE)")); \
	for name in $(PIP_VARIABLES); do \
	  option=$${name#PIP_}; option=$${option,,}; \
	  value=$${!name-$$($(PYTHON) -m pip config get "global.$${option//_/-}" 2>/dev/null || true)}; \
	  [ -z "$$value" ] || arguments+=("$$name=$$value"); \
	done; \
	docker build --tag netpol:local "$${arguments[@]/#/--build-arg=}" .

.PHONY: test-kind
test-kind: nft $(DEV_STAMP) ## run the contract and fault tests on the kind cluster of `make up`
	@NETPOL_KIND=1 $(BIN)/pytest tests/contract tests/real -m 'not exclusive' -n 4 --dist=loadgroup $(ARGS)
	@NETPOL_KIND=1 $(BIN)/pytest tests/real -m exclusive $(ARGS)

.PHONY: bench
bench: nft $(DEV_STAMP) ## measure reading, the oracle, and the harness on the embedded cluster
	@for file in benchmarks/reading.py benchmarks/oracle_table.py benchmarks/*netns*.py; do echo "== $$file"; $(BIN)/python $$file; done

# The first makes and deletes a cluster of its own: two at once would slow each other down.
.PHONY: bench-kind
bench-kind: $(RUN_STAMP) ## measure the harness on kind: the first verdict, and a table compared with other methods
	@$(BIN)/python benchmarks/first_verdict.py --cni=$(CNI)
	@[ -n "$(KEEP)" ] || trap '$(BIN)/netpol down' EXIT; \
	$(BIN)/netpol up --cni=$(CNI); \
	$(BIN)/python benchmarks/kube_table.py --cni=$(CNI)

# ---------------------------------------------------------------- checking

.PHONY: check
check: $(DEV_STAMP) ## check format, lint, types, layers and scenario files; no root, no cluster
	@$(BIN)/ruff format --check --quiet . || { echo "hint: make format"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(MAKE) collect
	@echo "check: all good"

.PHONY: defects
defects: nft $(DEV_STAMP) ## run scenarios with the defects that they claim to catch, and write docs/kill-table.md; ALL=1: every scenario with all defects that change its rules; DELAYS=1: also with small delays
	@$(BIN)/python -m tools.kill_table --write $(if $(ALL),--all) $(if $(DELAYS),--delays)

.PHONY: generated-kills
generated-kills: nft $(DEV_STAMP) ## run generated cases with each known defect, and write docs/generated-cases.md; COUNT=1000
	@$(BIN)/python -m tools.generated_kills --write --count=$(or $(COUNT),1000)

.PHONY: generated
generated: nft $(DEV_STAMP) ## run 34 generated scenarios on the embedded cluster, 4 of them with policies in tiers
	@# Below this folder: with -n, pytest confuses steps of one name in files elsewhere.
	@mkdir -p .make; folder=$$(mktemp -d .make/generated-XXXXXX); trap 'rm -rf "$$folder"' EXIT; \
	$(BIN)/netpol generate --seed=1 --count=30 --out="$$folder" && \
	$(BIN)/netpol generate --seed=2 --count=4 --tiers --out="$$folder" && \
	$(BIN)/netpol run "$$folder" -n 4 --no-tables

.PHONY: coverage
coverage: $(DEV_STAMP) ## write docs/coverage.md: which scenarios try each requirement
	@$(BIN)/python -m tools.coverage_table

.PHONY: scoreboard
scoreboard: $(DEV_STAMP) ## write docs/scoreboard.md: what network plugins gave, from docs/results; ARGS: more files of results
	@$(BIN)/python -m tools.scoreboard $(ARGS)

.PHONY: documents
documents: $(DEV_STAMP) ## write the generated parts of the documents
	@$(BIN)/python -m tools.documents

.PHONY: format
format: $(DEV_STAMP) ## format and fix the code with ruff
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

# Pinned here; go keeps the module's checksum. actionlint also runs shellcheck where it is installed.
ACTIONLINT := github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
.PHONY: lint-workflows
lint-workflows: $(DEV_STAMP) ## check .github with zizmor and actionlint (needs go)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --group workflows
	@$(BIN)/zizmor --quiet --offline --pedantic .github
	@command -v go >/dev/null || { echo "actionlint is run through go, which is not here"; echo "hint: https://go.dev/doc/install"; exit 1; }
	@go run $(ACTIONLINT)

# ---------------------------------------------------------------- publishing

.PHONY: docs
docs: $(DEV_STAMP) ## build the documentation site in site/; a broken link is an error
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --group docs
	@rm -rf site
	@$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --conf-dir docs/site --doctree-dir .make/doctrees . site
	@cp site/README.html site/index.html
	@echo "docs: site/index.html"

.PHONY: dist
dist: $(DEV_STAMP) ## build the sdist, and the wheel from it, in dist/
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --group release
	@rm -rf dist
	@$(BIN)/python -m build --outdir dist . > /dev/null
	@ls dist/*

# ---------------------------------------------------------------- cleaning

.PHONY: clean
clean: ## delete the kind cluster of this checkout, the virtual environment, caches and results
	@if [ -x $(BIN)/netpol ] && { command -v kind >/dev/null || [ -x "$${XDG_CACHE_HOME:-$$HOME/.cache}/netpol/bin/kind" ]; }; \
	  then $(BIN)/netpol down || echo "the cluster stays"; fi
	@rm -rf $(VENV) .make results .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage* build dist site *.egg-info
	@find harness tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
