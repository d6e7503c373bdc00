PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
RUNS := artifacts/runs
# Test files are shared out among as many processes as there are cores; WORKERS= for one.
WORKERS := -n auto --dist loadfile
SYSTEM_PATH := $(PATH)
# Child processes (DVC stages among them) take `python` from PATH.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup train seeds test test-all lint format type bench repro report dashboard clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(STAMP) ## create .venv and install the pinned requirements, when they changed

# A usable .venv is kept; anything else is made anew with $(PYTHON).
$(STAMP): requirements.txt constraints.txt pyproject.toml
	@$(BIN)/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { PATH="$(SYSTEM_PATH)"; \
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	    || { echo "error: coemerge needs Python 3.11 or newer, '$(PYTHON)' is: $$($(PYTHON) --version 2>&1). Name another: make setup PYTHON=python3.11" >&2; exit 1; }; \
	  echo "creating $(VENV)"; $(PYTHON) -m venv --clear $(VENV); }
	@echo "installing the requirements into $(VENV); the first time takes some minutes"
	@$(BIN)/python -m pip install --quiet --upgrade pip
	@$(BIN)/python -m pip install --quiet -r requirements.txt -c constraints.txt
	@$(BIN)/python -m pip install --quiet --no-deps -e .
	@touch $@

train: setup ## run the main job, fact_injection; continues where it stopped (ARGS="key=value ...")
	$(BIN)/python train.py experiment=fact_injection resume=true $(ARGS)

seeds: setup ## three seeds, a Llama shape and a wider model, side by side in one report (an hour on 2 cores)
	$(BIN)/python train.py -m experiment=fact_injection seed=0,1,2 resume=true
	$(BIN)/python train.py experiment=fact_injection model=llama_small run_id=llama_small resume=true
	$(BIN)/python train.py experiment=fact_injection model.config.n_embd=192 model.config.n_head=6 run_id=wide resume=true
	$(BIN)/python analyze.py study=co_emergence name=seeds run='[$(RUNS)/fact_injection-seed0,$(RUNS)/fact_injection-seed1,$(RUNS)/fact_injection-seed2]'
	$(BIN)/python analyze.py study=report run='[artifacts/analyses/seeds,$(RUNS)/llama_small,$(RUNS)/wide]'

test: setup ## run the fast tests (ARGS="-k name ...")
	$(BIN)/python -m pytest $(WORKERS) $(ARGS)

test-all: setup ## run all tests, the slow ones too
	$(BIN)/python -m pytest $(WORKERS) -m "" $(ARGS)

lint: setup ## check style, format and types
	$(BIN)/ruff check && $(BIN)/ruff format --check && $(BIN)/mypy

format: setup ## fix style and format in place
	$(BIN)/ruff check --fix && $(BIN)/ruff format

type: setup ## check types
	$(BIN)/mypy

bench: setup ## run the benchmarks, beside the packages in requirements-bench.txt (ARGS="training ...")
	@$(BIN)/python -m pip install --quiet -r requirements-bench.txt -c constraints.txt
	$(BIN)/python -m benchmarks $(ARGS)

repro: setup ## run the DVC pipeline, from data to report; only what changed
	$(BIN)/dvc repro $(ARGS)

report: setup ## run the co-emergence study on the main job and write its report
	$(BIN)/python analyze.py study=co_emergence run=$(RUNS)/fact_injection-seed0 $(ARGS)

dashboard: setup ## save the W&B workspace online, or replace the one saved before (ARGS="entity=NAME"; docs/wandb.md)
	$(BIN)/python -m coemerge.app.dashboard save=true $(ARGS)

clean: ## remove caches; never data, artifacts or .venv
	@rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find src tests benchmarks -type d -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
	@echo "removed caches; data, artifacts and .venv are untouched"
