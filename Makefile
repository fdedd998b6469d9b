# Two commands: `make verify` (check every claim, write report/) and `make test`
# (lint, types, tests). `make docs` builds the documentation. Each sets up everything
# it needs.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
REPORT ?= report
PYTEST_ARGS ?=

.PHONY: verify test crash-test coverage lint types docs kernels bench clean

verify: $(VENV)/.core
	$(BIN)/momentumflow verify --out $(REPORT)

test: lint types
	# one BLAS thread a worker: the workers fill the cores, and small products
	# on more threads than cores wait for each other
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal $(PYTEST_ARGS)

# Kill a sweep at 100 moments and start a second one at 50 offsets; `make test` does a few.
crash-test: $(VENV)/.test
	MOMENTUMFLOW_KILLS=100 MOMENTUMFLOW_WRITERS=50 OPENBLAS_NUM_THREADS=1 \
	  $(BIN)/python -m pytest -q -s tests/numeric/test_sweep_store.py -k "killed_at or two_writers"

# Line and branch coverage of the package; below the figure in pyproject.toml it fails.
coverage: $(VENV)/.test
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal -m "not packaging" --cov --cov-report=term $(PYTEST_ARGS)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python tools/layout.py
	cd .layout && ../$(BIN)/lint-imports --no-logo ../pyproject.toml

types: $(VENV)/.test
	$(BIN)/python tools/layout.py
	cd .layout && ../$(BIN)/python -m mypy --config-file ../pyproject.toml -p momentumflow

# The tutorials are executed; a warning or a broken link fails the build.
docs: $(VENV)/.docs
	rm -rf docs/_build/html
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	$(BIN)/python tools/check_links.py
	@echo "open docs/_build/html/index.html"

kernels: $(VENV)/.core
	$(BIN)/python -m momentumflow kernels check --write

bench: $(VENV)/.bench
	$(BIN)/python benchmarks/run.py

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("momentumflow needs Python >= 3.11, found " + sys.version.split()[0] + "; run make PYTHON=/path/to/python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e .
	$(BIN)/python tools/layout.py
	touch $@

$(VENV)/.test: $(VENV)/.core
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $@

$(VENV)/.docs: $(VENV)/.core
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[docs]'
	touch $@

$(VENV)/.bench: $(VENV)/.test
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[bench]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .layout .pytest_cache .mypy_cache .ruff_cache $(REPORT) docs/_build
