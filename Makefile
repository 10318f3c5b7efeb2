# Python 3.11 or newer and make are all that these need. ARGS go to the command: make demo ARGS="--once".
PYTHON ?= python3
BIN := .venv/bin
LOCKED := --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header
.PHONY: help demo test check bench chaos faults soundness up down status lock clean

help: ; @sed -n 's/^\([a-z]*\): .*[#]# /  make \1\t/p' Makefile ## list these
demo: .venv/ready ; @$(BIN)/lienthong demo $(ARGS) ## play the city: seven departments over a real Kafka
test: .venv/ready ; @$(BIN)/python -m pytest --numprocesses 3 --no-loadscope-reorder --cov --cov-report=term:skip-covered --cov-fail-under=90 $(ARGS) ## pass the tests
check: .venv/ready ; @$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports && $(BIN)/lienthong contracts check && $(BIN)/lienthong release --check ## style, types, layers, contracts
bench: .venv/ready ; @$(BIN)/python -m tests.benchmarks $(ARGS) ## figures beside the peers', in one run
chaos: .venv/ready ; @$(BIN)/lienthong chaos $(ARGS) ## ten minutes of faults by the dice of a seed, and a verdict
faults: .venv/ready ; @$(BIN)/python -m pytest tests/chaos $(ARGS) ## the slow tests: each fault alone, each planted bug; three quarters of an hour
soundness: .venv/ready ; @SOUNDNESS_PAIRS=200000 $(BIN)/python -m pytest --numprocesses auto tests/soundness $(ARGS) ## prove the verdicts of release on two hundred thousand pairs
up: .venv/ready ; @$(BIN)/lienthong up $(ARGS) ## start Kafka and PostgreSQL here
down: .venv/ready ; @$(BIN)/lienthong down $(ARGS) ## stop them
status: .venv/ready ; @$(BIN)/lienthong status $(ARGS) ## say what runs, and where
lock: .venv/ready ; @$(COMPILE) --group dev pyproject.toml --output-file requirements.lock && $(COMPILE) --constraint requirements.lock deploy/requirements.in --output-file deploy/requirements.lock && $(COMPILE) --constraint requirements.lock deploy/build.in --output-file deploy/build.lock ## choose versions anew
clean: ; rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .coverage* ## remove what make made

.venv/ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ". Name one: make PYTHON=python3.12 …")'
	@echo "Preparing .venv (once; about a minute) …"
	@$(PYTHON) -m venv .venv && $(BIN)/pip install $(LOCKED) && $(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index --editable . && touch $@
