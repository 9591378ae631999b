# make demo            the whole way of a row, twice, against a sandbox on this machine
# make story           one bad day: a broken model, a guard, a kill switch, an undo
# make dev             the Dagster UI with the sandbox beside it (DAGSTER_PORT, SANDBOX_PORT)
# make test            the tests, in under five minutes on two cores
# make test-quick      units of every room and the contract of the first three vendors, in under a minute
# make test-heavy      kill, chaos, oracle; further vendors, values, seeds and whole programs; CI runs it too
# make test-outside    the wheel in an environment of its own, with a team's own dbt and Dagster project
# make sparse          the destinations' contract once more, against vendors that answer no more than they promise
# make mutants         how many mistakes in the engine the tests notice (SAMPLE, SEED, MODULES, ONLY); long, and in no CI
# make test-lowest     test-quick with each dependency at the lowest version that pyproject.toml allows; needs uv
# make test-newest-python   test-quick with another Python: make test-newest-python PYTHON=python3.14
# make coverage        which lines and branches the tests of `make test` run, by room
# make lint            style, spelling, types, direction of imports
# make bench           the figures of the docs
# make lock, schema, architecture, resources   the lock file, the JSON schema of syncs, the picture of the rooms and the
#              vendors' resources, made anew
#
# The first target that needs it makes .venv from the lock file. Another Python: make PYTHON=python3.13 demo

PYTHON ?= python3
UV ?= uv
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
MANIFEST := dbt_project/target/manifest.json
QUICK := $(patsubst %,tests/test_%.py,budget fitness lease masking project promises syncs transforms wording) \
	$(patsubst %,tests/engine/test_%.py,addressing before_images change_set differences endless_answers fold \
	guards images job_patience quarantine_rows row_history) \
	$(patsubst %,tests/destinations/test_%.py,contract statuses values) \
	$(patsubst %,tests/journal/test_%.py,packing runs) tests/cli/test_commands.py
DBT_FILES := $(shell find dbt_project -name target -prune -o -name logs -prune -o \
	-type f \( -name '*.sql' -o -name '*.yml' -o -name '*.csv' \) -print)

unexport PYTHONDONTWRITEBYTECODE # what the tests start would read the source of each module anew

.PHONY: help demo story dev test test-quick test-heavy test-outside test-lowest test-newest-python coverage sparse mutants lint bench lock manifest schema architecture resources

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

demo: $(INSTALLED) $(MANIFEST)
	@$(BIN)/python -m demo

story: $(INSTALLED) $(MANIFEST)
	@$(BIN)/python -m demo.story

dev: $(INSTALLED) $(MANIFEST)
	@$(BIN)/python -m demo.serve

test: $(INSTALLED) $(MANIFEST)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not heavy"

test-quick: $(INSTALLED) $(MANIFEST)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not heavy" $(QUICK)

OUTSIDE := .venv-outside

test-outside: $(INSTALLED)
	$(PYTHON) -m venv --clear $(OUTSIDE)
	$(OUTSIDE)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		-r tests/outside/requirements.lock
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation -w $(OUTSIDE)/wheel .
	$(OUTSIDE)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps $(OUTSIDE)/wheel/*.whl
	OUTSIDE=$(OUTSIDE) $(BIN)/python -m pytest tests/outside

test-heavy: $(INSTALLED) $(MANIFEST)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m heavy

LOWEST := .venv-lowest

# the libraries of others may warn of each other there
test-lowest: $(MANIFEST)
	$(PYTHON) -m venv --clear $(LOWEST)
	$(UV) pip compile --quiet --resolution lowest-direct --python $(LOWEST) --no-emit-index-url --all-extras \
		pyproject.toml -o $(LOWEST)/lowest.txt
	$(UV) pip install --quiet --python $(LOWEST) -r $(LOWEST)/lowest.txt
	$(UV) pip install --quiet --python $(LOWEST) -c $(LOWEST)/lowest.txt --group test
	$(UV) pip install --quiet --python $(LOWEST) --no-deps --no-build-isolation -e .
	$(LOWEST)/bin/python -m pytest -n 2 --dist worksteal -W default::DeprecationWarning -m "not heavy" $(QUICK)

test-newest-python:
	$(MAKE) test-quick VENV=.venv-newest PYTHON=$(PYTHON)

coverage: $(INSTALLED) $(MANIFEST)
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not heavy" --cov --cov-report=json:.coverage.json
	$(BIN)/python -m tests.coverage_by_room .coverage.json

sparse: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 --dist worksteal --sparse tests/destinations

SAMPLE ?= 3
SEED ?= 1

mutants: $(INSTALLED) $(MANIFEST)
	$(BIN)/python -m tests.mutants --sample $(SAMPLE) --seed $(SEED) --modules "$(MODULES)" --only "$(ONLY)"

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(INSTALLED)
	$(BIN)/python -m benchmarks

manifest: $(MANIFEST)

$(MANIFEST): $(INSTALLED) $(DBT_FILES)
	$(BIN)/dbt parse --quiet --project-dir dbt_project --profiles-dir dbt_project
	@touch $@

schema: $(INSTALLED)
	$(BIN)/reverse-etl schema > demo/syncs/sync.schema.json

architecture: $(INSTALLED)
	$(BIN)/python -m tests.architecture

resources: $(INSTALLED)
	$(BIN)/python -m tests.vendor_resources

lock:
	$(UV) pip compile --universal --no-strip-extras --generate-hashes --no-emit-index-url --all-extras --group test \
		pyproject.toml -o requirements.lock
	$(UV) pip compile --universal --no-strip-extras --generate-hashes --no-emit-index-url --extra duckdb --extra sandbox \
		pyproject.toml tests/outside/requirements.in -o tests/outside/requirements.lock

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 15) else \
		"Python 3.11 to 3.14 is needed, this is %d.%d; try make PYTHON=python3.13" % sys.version_info[:2])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
