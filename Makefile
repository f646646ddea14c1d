# Two commands matter: `make demo` and `make test`. Both build the locked environment first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
RIVALS := .venv-rivals
ROOMS := data features training serving pipelines
COMPILED := $(wildcard */*.pyx */*/*.pyx */*.h)

# One thread each: on shared cores, BLAS and OpenMP pools cost more than they give.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1
export MLFLOW_DISABLE_TELEMETRY := true
export BENTOML_DO_NOT_TRACK := true
export UV_PYTHON_DOWNLOADS := never

.PHONY: help install demo test serve bench torture build build-check lint lock vendor shots
help:
	@echo "make install | demo | test | serve | bench | rivals | torture | build | build-check | lint | lock | shots | vendor"

install: $(VENV)/installed
$(VENV)/installed: requirements.lock requirements-bootstrap.lock pyproject.toml $(COMPILED)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bootstrap.lock
	$(UV) pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements.lock
	rm -f $(ROOMS:%=%/*.so) $(ROOMS:%=%/*/*.so)  # where compiling fails, nothing older serves
	$(UV) pip install --quiet --python $(BIN)/python --no-build-isolation --no-deps -e .
	$(BIN)/python -m compileall -q $(ROOMS)
	@$(BIN)/python -c "from training.roster_columns import COMPILED as c; c or print('Not compiled, for want of a C compiler or \
	of Python.h: numpy and LightGBM do all the arithmetic, slower.')"
	touch $@

demo: install
	$(BIN)/leadmatch demo

test: install
	$(BIN)/python -m pytest -n 2 --dist loadfile

serve: install
	$(BIN)/leadmatch serve

bench: install
	$(BIN)/leadmatch bench --quick
	$(BIN)/python -m tests.bench

# What a user would pick instead, beside our model; Vowpal Wabbit and econml need an environment of their own
# (Linux, Python 3.11).
.PHONY: rivals
rivals: $(RIVALS)/installed
	$(RIVALS)/bin/python -m tests.bench.rivals
$(RIVALS)/installed: requirements-rivals.lock requirements-bootstrap.lock pyproject.toml
	$(PYTHON) -m venv $(RIVALS)
	$(RIVALS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-bootstrap.lock
	$(RIVALS)/bin/uv pip install --quiet --python $(RIVALS)/bin/python --require-hashes -r requirements-rivals.lock
	$(RIVALS)/bin/uv pip install --quiet --python $(RIVALS)/bin/python --no-build-isolation --no-deps -e .
	touch $@

# The service as BentoML packs it, under build/bentoml; `bentoml serve leadmatch:latest` runs it from any folder.
build: install
	BENTOML_HOME=$(CURDIR)/build/bentoml $(BIN)/bentoml build

build-check: install
	$(BIN)/python -m tests.check_build

# Hours of trouble in half an hour: processes killed, disks and databases gone, hostile and too many requests.
torture: install
	$(BIN)/python -m tests.torture
	$(BIN)/python -m tests.torture.events

lint: install
	$(BIN)/ruff check .
	$(BIN)/mypy
	@! grep -n '://' requirements.lock requirements-bootstrap.lock requirements-rivals.lock

lock: install
	$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --extra dev \
		pyproject.toml requirements-build.txt -o requirements.lock
	cp requirements.lock requirements-rivals.lock  # the same versions where it can be
	$(UV) pip compile --quiet --python-platform x86_64-manylinux_2_28 --python-version 3.11 --generate-hashes --no-annotate \
		--no-header --extra rivals pyproject.toml requirements-build.txt -o requirements-rivals.lock

# Pictures of every page in both languages, over what `make demo` left in var/; needs Chromium and a Chinese font.
shots: install
	$(BIN)/python -m tests.shots

# The pages' and their tests' JavaScript, from npm, in these versions, each with its licence.
PAGE_LIBRARIES := htmx.org@4.0.1 echarts@6.1.0
TEST_LIBRARY := axe-core@4.14.1
STATIC := serving/pages/static/vendor
vendor:
	rm -rf build/vendor && mkdir -p build/vendor
	cd build/vendor && for library in $(PAGE_LIBRARIES) $(TEST_LIBRARY); do \
		mkdir $$library && npm pack --silent $$library | xargs -I{} tar xzf {} -C $$library --strip-components 1; done
	cp build/vendor/htmx.org@*/dist/htmx.min.js build/vendor/echarts@*/dist/echarts.min.js $(STATIC)
	cp build/vendor/htmx.org@*/LICENSE $(STATIC)/htmx.LICENSE
	cp build/vendor/echarts@*/LICENSE $(STATIC)/echarts.LICENSE
	cp build/vendor/echarts@*/NOTICE $(STATIC)/echarts.NOTICE
	cp build/vendor/axe-core@*/axe.min.js tests/vendor && cp build/vendor/axe-core@*/LICENSE tests/vendor/axe.LICENSE
