# `make run` and `make test` do all the set-up; `make help` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
LOCKED := tools/pip-install $(VENV)
WHEEL := build/wheel-under-test
# Tests run in so many processes, a file's tests in one. Real peers need time more than cores.
WORKERS ?= 2

# auto: real peers are installed where that is allowed, else their tests skip, saying why.
# required: a peer that cannot be had fails the run. none: their tests skip.
export SHOAL_PEERS ?= auto

.PHONY: help
help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-6s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- Set-up: each step leaves a stamp, so a second run costs nothing. ---

$(STAMPS)/venv:
	@echo "installing into $(VENV), once: about half a minute"
	@tools/make-venv $(VENV)
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/run: requirements/run.txt $(STAMPS)/venv
	@$(LOCKED) requirements/run.txt
	@touch $@

$(STAMPS)/dev: requirements/dev.txt $(STAMPS)/venv
	@echo "installing what working on Shoal takes, once: a minute or two"
	@$(LOCKED) requirements/dev.txt
	@touch $@ $(STAMPS)/run

# Editable, for `make run` and for people at work. The tests run against the wheel.
$(STAMPS)/editable: pyproject.toml | $(STAMPS)/run
	@$(PIP) install --no-build-isolation --no-deps --editable .
	@touch $@

.PHONY: dev
dev: $(STAMPS)/dev $(STAMPS)/editable  ## install all that working on Shoal takes

.PHONY: peers
peers: $(STAMPS)/dev  ## install the real peers that the tests talk to
	tools/install-peers $(VENV)

# --- What it is for. ---

.PHONY: run
run: $(STAMPS)/run $(STAMPS)/editable  ## a private network with people in it, each with a page to talk in
	@$(BIN)/shoal lab $(ARGS)

# --- Checks and tests. ---

.PHONY: check
check: dev  ## format, lint, types, imports, spelling, docs
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(MAKE) docs

.PHONY: docs
docs: dev  ## build the documentation into docs/_build; warnings are errors
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_build/html

# Unpacked beside the environment, first on the path: what is tested is what would be shipped.
.PHONY: wheel
wheel: dev  ## build the wheel and unpack it for the tests
	rm -rf dist $(WHEEL)
	$(PIP) wheel --no-build-isolation --no-deps --wheel-dir dist .
	$(PIP) install --no-deps --target $(WHEEL) dist/*.whl

.PHONY: test
test: check wheel peers  ## everything: checks, then all tests against the built wheel
	SHOAL_WHEEL=$(CURDIR)/$(WHEEL) PYTHONPATH=$(CURDIR)/$(WHEEL) tools/test $(BIN)/python \
		--numprocesses $(WORKERS) --dist loadfile $(ARGS)

.PHONY: sim
sim: dev  ## simulated networks with new seeds; SEED=N replays one
	$(BIN)/python -m tests.sim.play $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: soak
soak: dev peers  ## what takes real hours
	$(BIN)/python -m pytest -m soak --timeout=0 $(ARGS)

.PHONY: fuzz
fuzz: dev  ## fuzz the decoders with atheris; SECONDS_PER_TARGET=N
	tools/fuzz $(VENV)

.PHONY: lock
lock:  ## renew requirements/*.txt from pyproject.toml
	tools/lock

.PHONY: clean
clean:  ## remove everything that make made
	rm -rf $(VENV) build dist docs/_build artifacts .coverage .hypothesis
	rm -rf .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find src tests bench tools -name __pycache__ -type d -prune -exec rm -rf {} +
