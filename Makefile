# `make` alone prints the targets. Everything runs in .venv, which `make install` builds with pip alone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install build run demo test test-slow check fmt vet coverage bench clean

help:  ## print this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

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

test: $(STAMP)  ## all tests but the slow set
	$(BIN)/python -m pytest -m "not slow"

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

bench: $(STAMP)  ## the committed benchmark: a table with this machine's figures
	$(BIN)/python -m benchmarks

clean:  ## remove what was built, keep data/ and .venv
	rm -rf build dist htmlcov .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
