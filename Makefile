# Targets for people who want to try, test or reproduce. `make help` lists them.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
ALIGNDIFF := $(BIN)/aligndiff
# two busy processes on few cores otherwise spin while they wait for each other
export OMP_WAIT_POLICY ?= PASSIVE
export GOMP_SPINCOUNT ?= 0

SAMPLE := sample_data
DEMO ?= demo
SEED ?= 0
PER_CLASS ?= 40

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z][a-z0-9/_-]*:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  %-16s %s\n", $$1, $$2}'

.PHONY: install
install: $(BIN)/.installed ## make .venv with the locked packages and the aligndiff command

$(BIN)/.installed: pyproject.toml .ci/constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint .ci/constraints.txt --editable '.[dev]'
	@touch $@

.PHONY: lint
lint: install ## ruff (lint and format) and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.PHONY: test
test: install ## the test suite
	OMP_NUM_THREADS=2 $(BIN)/pytest

.PHONY: bench
bench: install ## the benchmarks: speeds as ratios, measured side by side
	@for file in tests/benchmarks/bench_*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

.PHONY: demo
demo: demo/evaluate ## the main job on sample_data/ with the bundled model: five stages and a table

.PHONY: demo/invert demo/generate demo/mask demo/compose demo/evaluate
demo/invert: install ## one stage of the demo (also demo/generate, demo/mask, demo/compose, demo/evaluate)
	$(ALIGNDIFF) invert --images $(SAMPLE)/support --out $(DEMO)/bank --seed $(SEED)

demo/generate: demo/invert
	$(ALIGNDIFF) generate --bank $(DEMO)/bank --out $(DEMO)/synth --per-class $(PER_CLASS) --seed $(SEED)

demo/mask: demo/generate
	$(ALIGNDIFF) mask --images $(DEMO)/synth --support $(SAMPLE)/support --out $(DEMO)/masks --seed $(SEED)

demo/compose: demo/mask
	$(ALIGNDIFF) compose --foregrounds $(DEMO)/masks --support $(SAMPLE)/support --base $(SAMPLE)/base \
	  --out $(DEMO)/scenes --count 40 --seed $(SEED)

demo/evaluate: demo/compose
	$(ALIGNDIFF) evaluate --protocol fss --support $(SAMPLE)/support --query $(SAMPLE)/query \
	  --masks $(DEMO)/masks --ood $(SAMPLE)/ood.txt --out $(DEMO)/results --seed $(SEED)

RUNS ?= 5
SHOTS ?= 1 5
JOBS ?= 2

.PHONY: reproduce
reproduce: install ## the paper's tables on the pocket world (RUNS=5 SHOTS="1 5" JOBS=2); resumable
	$(BIN)/python -m aligndiff_cli.pocket.reproduce --runs $(RUNS) --shots $(SHOTS) --jobs $(JOBS) --out results

.PHONY: clean
clean: ## remove what the demo made
	rm -rf $(DEMO)
