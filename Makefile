# PYTHON: the interpreter to build .venv with, 3.11 to 3.13; ignored where .venv is there (make clean removes it).
# TORCH:  what to install as torch; ignored where .venv has one. On Linux, PyPI's torch is the CUDA build of several GB;
#         for the CPU build, install it into .venv first (python3 -m venv .venv), or name a wheel: make TORCH=./torch.whl
PYTHON ?= python3
TORCH ?= torch>=2.10,<2.14
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SPEED := docs/speed
DEMO := experiments/movielens-100k-user-cold.yaml

.DEFAULT_GOAL := help
.PHONY: help install demo table peers bench test test-all faults fuzz lint format clean

help:  ## print the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

install: $(READY)  ## create .venv and install everything (done by the other targets too)

$(READY): pyproject.toml constraints.txt requirements/learn2learn.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
		|| { echo "metarec needs Python 3.11 to 3.13; name one with make PYTHON=python3.12"; exit 2; }
	@test -x $(BIN)/python || { echo "== creating $(VENV)"; $(PYTHON) -m venv $(VENV); }
	@$(BIN)/python -m pip install --quiet 'pip>=23.1'
	@echo "== torch"
	@$(BIN)/python -c 'import torch; print("already there:", torch.__version__)' 2>/dev/null \
		|| $(BIN)/python -m pip install --progress-bar on '$(TORCH)'
	@echo "== metarec and what it needs"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@echo "== learn2learn"
	$(BIN)/python -m pip install --quiet --no-deps --no-cache-dir --use-pep517 --requirement requirements/learn2learn.txt
	@touch $@

demo: $(READY)  ## the main job on MovieLens 100K: train, adapt, compare, print the table (5 minutes)
	$(BIN)/metarec run $(DEMO)
	$(BIN)/metarec table $(DEMO)

table: $(READY)  ## print the demo's table into README.md
	$(BIN)/metarec table $(DEMO) --into README.md

peers: $(READY)  ## install the libraries that the benchmark compares with
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[peers]'

bench: $(READY)  ## measure speed against learn2learn's loop and peers, into README.md (15 minutes)
	$(BIN)/metarec bench --save $(SPEED)/records.json --figures $(SPEED) --into README.md

test: $(READY)  ## the fast tests
	$(BIN)/python -m pytest

test-all: $(READY)  ## all tests: real training and several processes too
	$(BIN)/python -m pytest -m 'slow or not slow'

faults: $(READY)  ## inject every fault of tests/faults/catalogue.py, print the table into README.md (40 minutes)
	$(BIN)/python -m pytest tests -m fault --faults-into=README.md

fuzz: $(READY)  ## fuzz every parser for a minute, guided by coverage; inputs that go wrong are kept in build/fuzz (20 minutes)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[fuzz]'
	$(BIN)/python -m tests.fuzz.harness --seconds 60

lint: $(READY)  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)  ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove .venv and caches; results stay
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
