# graft: two commands on a fresh machine are `make run` and `make test`.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready-$(shell cat requirements.lock pyproject.toml | cksum | cut -d' ' -f1)

# dvc.yaml's commands find kedro and python where make does.
export PATH := $(abspath $(BIN)):$(PATH)
export DO_NOT_TRACK := true
export DVC_NO_ANALYTICS := 1
export MLFLOW_DISABLE_TELEMETRY := true
export NO_ALBUMENTATIONS_UPDATE := 1
# Compiled modules start two to three times faster.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup run test fuzz bench check lock clean

help:  ## list the commands
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(READY)  ## set everything up in .venv, from requirements.lock

$(READY): requirements.lock pyproject.toml
	@echo "setting up $(VENV) (once; several GB with PyTorch) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes --compile-bytecode requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@rm -f $(VENV)/.ready-*
	@touch $@

run: $(READY)  ## the main job on the embedded sample: images to a registered model
	@$(BIN)/dvc repro --quiet render_sample
	@$(BIN)/kedro run

test: $(READY)  ## all tests that need neither a GPU nor minutes
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

fuzz: $(READY)  ## look for new faults: other damaged files and examples each time (20 minutes)
	@GRAFT_FUZZ_SEED= GRAFT_FUZZ_S=600 $(BIN)/python -m pytest -q tests/faults/test_fuzz_readers.py
	@HYPOTHESIS_PROFILE=default $(BIN)/python -m pytest -q $$(grep -rl "from hypothesis" tests --include=test_*.py)

bench: $(READY)  ## what things cost here beside the usual way, into bench/latest.json
	@$(BIN)/python -m bench

check: $(READY)  ## style, types and the directions between rooms
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

lock: $(READY)  ## renew requirements.lock from pyproject's ranges
	@$(BIN)/uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
		--generate-hashes --no-header --no-annotate --upgrade --quiet --output-file requirements.lock

clean:  ## remove what runs have made, not the raw data
	rm -rf data/0[2-8]*/*/ mlruns mlflow.db*
