# The only entry: what a person runs is what CI runs.
#
#   make demo        the main job on this machine: stage, resolve, resubmit, refuse, expire
#   make test        all tests that need no other program        make lint     style, types, layers, spelling
#   make test-all    the same with real servers (nginx, …)       make format   write the style
#   make test-kube   the checks of demo-kube, on a cluster       make docs     write the generated pages
#   make demo-kube   real Spark jobs on the current cluster      make bench    side by side with peers
#   make load        200 uploads and 1,000 reads at once, for minutes; memory and fairness
#   make fuzz        every route and parser, for minutes         make crash    kill -9, thousands of times
#   make retention-model   a million steps of pods, watches and crashes against retention
#   make golden      what stock spark-submit makes, recorded anew (needs KUBEBUILDER_ASSETS and Java)
#   make faults      a thousand examples of each property behind the fault proxy
#
# Paths are relative and unquoted on purpose: the folder may have any name.

PYTHON ?= python3
BIN := .venv/bin
PACKAGES := staging_protocol staging_io staging_server resolver init_container submission
TEST_PROCESSES ?= 2
# A file stays on one worker: what its tests share is started once.
PYTEST := $(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist loadfile

.PHONY: setup demo demo-kube test test-all test-kube lint format docs bench load fuzz crash faults golden retention-model lock ci clean

setup: .venv/complete

# A marker, so that a second run starts at once; the lock or the project file changing makes it anew.
.venv/complete: requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is missing; install Python 3.11 or newer, or set PYTHON=…" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "make: $(PYTHON) is older than 3.11; set PYTHON=python3.11 (or newer)" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "make: $(PYTHON) has no venv module; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@echo "make: setting up .venv (once, about a minute)" >&2
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q $(PACKAGES)
	@touch $@

demo: setup
	@$(BIN)/python -m tests.end_to_end.demo

demo-kube: setup
	@$(BIN)/python -m tests.kube.demo

test: setup
	$(PYTEST) -m "not services and not kube"

test-all: setup
	$(PYTEST) -m "not kube"

test-kube: setup
	$(BIN)/python -m pytest -m kube tests/kube

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/python -m docs.generate --check

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: setup
	$(BIN)/python -m docs.generate

bench: setup
	$(BIN)/python -m benchmarks

load: setup
	$(BIN)/python -m benchmarks.load

FUZZ_SECONDS ?= 60
fuzz: setup
	HOSTILE_EXAMPLES=200 HOSTILE_SEED=$$(date +%s) $(BIN)/python -m pytest -q tests/hostile/test_openapi_conformance.py
	$(BIN)/python -m tests.hostile.fuzz all --seconds $(FUZZ_SECONDS)

KILLS ?= 2000
crash: setup
	$(BIN)/python -m tests.crash.loop --kills $(KILLS)

STEPS ?= 1000000
retention-model: setup
	RETENTION_STEPS=$(STEPS) $(BIN)/python -m pytest -q tests/staging_server/retention/test_retention_model.py

golden: setup
	$(BIN)/python -m tests.submission.differential.golden

faults: setup
	$(PYTEST) --hypothesis-profile=long tests/end_to_end/test_faults_*.py

# Needs uv; names no registry, so that the lock works with any.
lock:
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
		--all-extras --group dev pyproject.toml --output-file requirements.lock
	cd deploy && uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --python-version 3.11 \
		build.in --output-file build.lock

ci: lint
	$(PYTEST) -m "not kube" --cov --cov-report=term:skip-covered

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist .coverage*
