# Two commands matter: `make demo` and `make test`. Both build the locked environment first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv

# One thread each: on shared cores, BLAS and OpenMP pools cost more than they give.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1
export MLFLOW_DISABLE_TELEMETRY := true
export BENTOML_DO_NOT_TRACK := true
export UV_PYTHON_DOWNLOADS := never

.PHONY: help install demo test serve bench lint lock
help:
	@echo "make demo | test | serve | bench | lint | lock"

install: $(VENV)/installed
$(VENV)/installed: requirements.lock requirements-bootstrap.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bootstrap.lock
	$(UV) pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements.lock
	$(UV) pip install --quiet --python $(BIN)/python --no-build-isolation --no-deps -e .
	touch $@

demo: install
	$(BIN)/leadmatch demo

test: install
	$(BIN)/python -m pytest -n 2

serve: install
	$(BIN)/leadmatch serve

bench: install
	$(BIN)/python -m tests.bench

lint: install
	$(BIN)/ruff check .
	$(BIN)/mypy
	@! grep -n '://' requirements.lock requirements-bootstrap.lock

lock: install
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --extra dev \
		pyproject.toml requirements-build.txt -o requirements.lock
