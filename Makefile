# `make` alone prints the targets. Everything runs in .venv, which `make install` builds with pip alone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
FUZZ_VENV := .venv-fuzz
FUZZ_STAMP := $(FUZZ_VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install build run demo simulate fuzz durability-report seeded-bugs mutants test test-slow check fmt vet coverage bench bench-quick bench-peers bench-scale profile bench-report clean

help:  ## print this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-18s %s\n", $$1, $$2}'

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt hatchling editables
	$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --constraint constraints.txt --editable '.[client,dev]'
	touch $@

install: $(STAMP)  ## create .venv with pinned dependencies

build: $(STAMP)  ## build the wheel and the source archive into dist/
	$(BIN)/hatchling build -d dist

run: $(STAMP)  ## start a server on 127.0.0.1:7440 with the demo job kinds; data in ./data
	$(BIN)/python -m beaver_actors run --config configs/default.yaml

demo: $(STAMP)  ## submit 2,000 jobs, kill -9 the server twice, show that nothing is lost
	bash scripts/demo.sh

simulate: $(STAMP)  ## explore crashes of a simulated node for MINUTES=1, print the rate and the seeds that fail
	$(BIN)/python -m beaver_actors.testing.simulate --minutes $(or $(MINUTES),1)

fuzz: $(FUZZ_STAMP)  ## fuzz by coverage, MINUTES=1 for each of TARGETS (default: all); findings in build/fuzz/
	$(FUZZ_VENV)/bin/python -m tests.fuzz.atheris_all --minutes $(or $(MINUTES),1) $(TARGETS)

$(FUZZ_STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(FUZZ_VENV)
	$(FUZZ_VENV)/bin/pip install --quiet --disable-pip-version-check --constraint constraints.txt hatchling editables
	$(FUZZ_VENV)/bin/pip install --quiet --disable-pip-version-check --no-build-isolation --constraint constraints.txt --editable '.[client,dev,fuzz]'
	touch $@

durability-report: $(STAMP)  ## simulate, kill, fuzz and seed bugs, MINUTES=5 each; write docs/durability-report.md
	bash scripts/durability.sh $(or $(MINUTES),5)

seeded-bugs: $(STAMP)  ## seed deliberate bugs, see which tests notice: BUGS="02 lock", or all, into docs/seeded-bugs.md
	$(BIN)/python -m tests.seeded_bugs $(if $(AGAIN),--again,$(if $(FIRST),--first,--until-caught)) $(if $(RECORD),--record) $(or $(BUGS),--record)

mutants: $(STAMP)  ## change core, codec and journal in small ways; do their tests notice? SAMPLE=100 of each, by chance
	$(BIN)/python -m tests.mutants $(if $(SAMPLE),--sample $(SAMPLE))

test: $(STAMP)  ## all tests but the slow set, in two processes
	$(BIN)/python -m pytest -m "not slow" --numprocesses 2 --dist loadfile --no-loadscope-reorder --durations 20 tests/property tests/crash tests examples

test-slow: $(STAMP)  ## the slow set: 500 kills in a row and large backlogs
	$(BIN)/python -m pytest -m slow --timeout 3600

vet: $(STAMP)  ## static analysis: lint, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

check: $(STAMP)  ## what CI runs before the tests: format, lint, types, contracts
	$(BIN)/ruff format --check .
	$(MAKE) --no-print-directory vet

fmt: $(STAMP)  ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

coverage: $(STAMP)  ## tests with branch coverage, report in htmlcov/
	$(BIN)/python -m pytest -m "not slow" --cov --cov-report=term --cov-report=html

bench: $(STAMP)  ## the committed benchmark: a table with this machine's figures, ONLY=names for some of them
	$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY))

bench-peers: $(STAMP)  ## the same work on other queues and on this one, in one run; installs them: ONLY=names
	bash scripts/bench_peers.sh $(if $(ONLY),--only $(ONLY))

bench-scale: $(STAMP)  ## JOBS=5000000 through one server: memory, log and latency over the run
	$(BIN)/python -m benchmarks.scale $(if $(JOBS),--jobs $(JOBS))

profile: $(STAMP)  ## a flame graph of the server under the benchmark's load, in build/bench/profile.svg
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt py-spy
	$(BIN)/python -m benchmarks.profile

bench-report: $(STAMP)  ## write what these have measured into docs/benchmarks.md and README.md
	$(BIN)/python -m benchmarks.report

bench-quick: $(STAMP)  ## the same with one round and a tenth of the backlog
	$(BIN)/python -m benchmarks --quick $(if $(ONLY),--only $(ONLY))

clean:  ## remove what was built, keep data/ and .venv
	rm -rf build dist htmlcov .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
