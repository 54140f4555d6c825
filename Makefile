# `make demo` and `make test` do all the set-up themselves; they need Python 3.11 and make.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: help install demo test test-all check format proto clean
.DEFAULT_GOAL := help

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

install: $(VENV)/.installed ## Make the virtual environment, with pinned dependencies

# The system's C compiler, or one from PyPI.
ZIG := $(abspath $(BIN))/python -m ziglang cc
CORE := $(wildcard nbmf/_core/*) setup.py

$(VENV)/.installed: pyproject.toml constraints.txt $(CORE)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) (about 1.5 GB with Ray and PyTorch; once)"
	@command -v $(firstword $(CC)) >/dev/null || $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt ziglang
	@command -v $(firstword $(CC)) >/dev/null || export CC='$(ZIG)'; \
	    $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[cluster,train,bench,dev]'
	@touch $@

demo: install ## Run the whole path on real records: store, training, service, migration
	@$(BIN)/nbmf demo

test: install ## Run the tests
	@$(BIN)/pytest -q -m 'not slow'

test-all: install ## Run the tests, the slow ones too
	@$(BIN)/pytest -q

check: install ## Lint, types, import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@PYTHONPATH=. $(BIN)/lint-imports

format: install ## Format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

proto: install ## Generate the gRPC code from serve_app/grpc/nbmf.proto
	@$(BIN)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. --grpc_python_out=. serve_app/grpc/nbmf.proto

clean: ## Remove the virtual environment, caches and the demo's output
	rm -rf $(VENV) demo-output build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
