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

# two processes of one thread do more than one process of two
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal

.PHONY: test
test: install ## the test suite, on two cores
	$(PYTEST)

.PHONY: test-fast
test-fast: install ## the part of it that takes less than a minute: no whole chains, trainings or full-size models
	$(PYTEST) -m "not slow"

.PHONY: bench
bench: install ## the benchmarks: speeds as ratios, measured side by side
	@for file in tests/benchmarks/bench_*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

.PHONY: demo
demo: demo/report ## the main job on sample_data/ with the bundled model: five stages, a table and a page of it all

.PHONY: demo/invert demo/generate demo/mask demo/compose demo/evaluate demo/report
demo/invert: install ## one stage of the demo (also demo/generate, demo/mask, demo/compose, demo/evaluate, demo/report)
	$(ALIGNDIFF) invert --images $(SAMPLE)/support --out $(DEMO)/bank --seed $(SEED)

demo/generate: demo/invert
	$(ALIGNDIFF) generate --bank $(DEMO)/bank --out $(DEMO)/synth --per-class $(or $(PER_CLASS),40) --seed $(SEED)

demo/mask: demo/generate
	$(ALIGNDIFF) mask --images $(DEMO)/synth --support $(SAMPLE)/support --out $(DEMO)/masks --seed $(SEED)

# at D.2's scales of up to 2 one object covers a whole picture of 64 pixels
demo/compose: demo/mask
	$(ALIGNDIFF) compose --foregrounds $(DEMO)/masks --support $(SAMPLE)/support --base $(SAMPLE)/base \
	  --out $(DEMO)/scenes --count 40 --scale-low 0.3 --scale-high 1 --seed $(SEED)

demo/evaluate: demo/compose
	$(ALIGNDIFF) evaluate fss --support $(SAMPLE)/support --query $(SAMPLE)/query \
	  --masks $(DEMO)/masks --ood $(SAMPLE)/ood.txt --out $(DEMO)/results --seed $(SEED)

demo/report: demo/evaluate
	$(ALIGNDIFF) report $(DEMO)

# The splits of the data sets. Every command keeps what is done: a target can be stopped and made again. Settings: SHOTS,
# SEED, MODEL, BACKBONE (a ResNet), ROOT (the data set as unpacked; of emoji, the drawings), OUT, PER_CLASS, LAYOUT=scenes
# (evaluate learns from what compose made, not from the masks), and more flags as PREPARE_FLAGS, INVERT_FLAGS, ...
pascal-5: ## the folds of PASCAL-5i and their average; or one fold, pascal-5-3; or one stage, pascal-5-3/invert
coco-20: ## COCO-20i, alike
emoji-5: ## Emoji-5i, alike, with the bundled model
fss-1000: ## the test classes of FSS-1000; or one stage, fss-1000/mask
emoji-fss: ## Emoji-FSS, alike, with the bundled model

OUT ?= work
STAGES := prepare invert generate mask compose evaluate
SETS := pascal-5 coco-20 emoji-5
GFSS := $(foreach set,$(SETS),$(set)-0 $(set)-1 $(set)-2 $(set)-3)
FSS := fss-1000 emoji-fss
SPLITS := $(GFSS) $(FSS)

# of a target's split, $*: its data set, its fold, whether it is of emoji, and, of split $(1), where its run lies
SET = $(word 1,$(subst -, ,$*))-$(word 2,$(subst -, ,$*))
FOLD = $(word 3,$(subst -, ,$*))
EMOJI = $(filter emoji-%,$*)
SHOT = $(firstword $(SHOTS) 1)
run_of = $(OUT)/$(1)/$(SHOT)-shot/seed-$(SEED)
RUN = $(call run_of,$*)
# the ResNet for photographs is $(1); the bundled one knows emoji
backbone = $(if $(BACKBONE)$(if $(EMOJI),,$(1)),--backbone $(or $(BACKBONE),$(1)))

.PHONY: $(SETS) $(SPLITS) $(foreach split,$(SPLITS),$(STAGES:%=$(split)/%))
$(SPLITS): %: %/evaluate

$(SPLITS:%=%/prepare): %/prepare: install
	$(ALIGNDIFF) prepare $(SET)$(if $(FOLD),i --fold $(FOLD)) $(if $(ROOT),$(if $(EMOJI),--icons,--root) $(ROOT)) \
	  --shots $(SHOT) $(if $(filter pascal% coco%,$*),--label-maps $(OUT)/$(SET)/label_maps) \
	  --out $(RUN)/data --seed $(SEED) $(PREPARE_FLAGS)

$(SPLITS:%=%/invert): %/invert: %/prepare
	$(ALIGNDIFF) invert --images $(RUN)/data/support --out $(RUN)/bank --seed $(SEED) \
	  --model $(or $(MODEL),$(if $(EMOJI),pocket,$(or $(ALIGNDIFF_MODEL),stable-diffusion-v1-5/stable-diffusion-v1-5))) \
	  $(INVERT_FLAGS)

$(SPLITS:%=%/generate): %/generate: %/invert
	$(ALIGNDIFF) generate --bank $(RUN)/bank --out $(RUN)/synth --seed $(SEED) \
	  --per-class $(or $(PER_CLASS),$(if $(filter pascal% coco%,$*),1000,40)) $(GENERATE_FLAGS)

$(SPLITS:%=%/mask): %/mask: %/generate
	$(ALIGNDIFF) mask --images $(RUN)/synth --support $(RUN)/data/support \
	  --out $(RUN)/masks --seed $(SEED) $(call backbone,microsoft/resnet-50) $(MASK_FLAGS)

$(GFSS:%=%/compose): %/compose: %/mask
	$(ALIGNDIFF) compose --foregrounds $(RUN)/masks --support $(RUN)/data/support --base $(RUN)/data/base \
	  --out $(RUN)/scenes --seed $(SEED) $(COMPOSE_FLAGS)

$(FSS:%=%/evaluate): %/evaluate: %/mask
	$(ALIGNDIFF) evaluate fss --support $(RUN)/data/support --query $(RUN)/data/query \
	  --masks $(RUN)/masks --ood $(RUN)/data/ood.txt \
	  --out $(RUN)/results --seed $(SEED) $(call backbone,microsoft/resnet-50) $(EVALUATE_FLAGS)

# COCO-20i as in GAPS: five classes a step
COCO = --classes-per-step 5 --distillation 0.5 --base-lr 0.007 --iterations $(if $(filter 1,$(SHOT)),100,400)
define gfss
	$(ALIGNDIFF) evaluate gfss --fold $(1) --base '$(call run_of,$(2))/data/base' \
	  --support '$(call run_of,$(2))/data/support' --query '$(call run_of,$(2))/data/query' \
	  $(if $(filter scenes,$(LAYOUT)),--layout scenes --scenes,--masks) \
	  '$(call run_of,$(2))/$(if $(filter scenes,$(LAYOUT)),scenes,masks)' --base-model '$(OUT)/$(2)/base-model-$(SEED)' \
	  --out $(RUN)/results --seed $(SEED) $(call backbone,microsoft/resnet-101) \
	  $(if $(filter coco%,$*),$(COCO)) $(EVALUATE_FLAGS)
endef
comma := ,

$(GFSS:%=%/evaluate): %/evaluate: %/compose
	$(call gfss,$(FOLD),$*)

$(SETS): %: %-0/compose %-1/compose %-2/compose %-3/compose
	$(call gfss,0$(comma)1$(comma)2$(comma)3,$*-{fold})

.PHONY: smoke
smoke: ## one emoji split from end to end, so small that nothing is learnt: does every stage run?
	$(MAKE) emoji-5-3 OUT=$(OUT)/smoke SHOTS=1 PER_CLASS=4 PREPARE_FLAGS='--scenes 12' \
	  INVERT_FLAGS='--steps 2 --preview 0' GENERATE_FLAGS='--steps 2' COMPOSE_FLAGS='--count 6' \
	  EVALUATE_FLAGS='--epochs 1 --iterations 2 --batch 2 --base-batch 2'

RUNS ?= 5
JOBS ?= 2

.PHONY: reproduce
reproduce: install ## the paper's tables on the pocket world (RUNS=5 SHOTS="1 5" JOBS=2); resumable
	$(BIN)/python -m aligndiff_cli.pocket.reproduce --runs $(RUNS) --shots $(or $(SHOTS),1 5) --jobs $(JOBS) --out results

.PHONY: clean
clean: ## remove what the demo made
	rm -rf $(DEMO)
