# `make demo` and `make test` do all the set-up themselves; they need Python 3.11 and make.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: help install demo test test-all fuzz check format wheels proto clean
.DEFAULT_GOAL := help

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

install: $(VENV)/.installed ## Make the virtual environment, with pinned dependencies

EXTRAS := cluster,train,bench,dev
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt
# The system's C compiler if it compiles (the one of a bare macOS only says what to install), else one from PyPI.
COMPILES := echo 'int main(void) { return 0; }' | $(CC) -x c -o /dev/null - >/dev/null 2>&1
# By its own path, as pip builds where the virtual environment's packages are not seen.
ZIG = $$($(BIN)/python -c 'import ziglang; print(ziglang.__path__[0])')/zig cc
CORE := $(wildcard nbmf/_core/*) setup.py

$(VENV)/.installed: pyproject.toml constraints.txt $(CORE) | $(BIN)/python
	@echo "Installing into $(VENV) (about 1.5 GB with Ray and PyTorch; once)"
	@if $(COMPILES); then export CC='$(CC)'; else \
	    echo "No C compiler here: the one of the package ziglang"; $(PIP) ziglang && export CC="$(ZIG)"; fi; \
	    $(PIP) -e '.[$(EXTRAS)]'
	@touch $@

demo: install ## Run the whole path on real records: store, training, service, migration
	@$(BIN)/nbmf demo

PYTEST := $(BIN)/pytest -q

# A hundred processes are started, which would all compile our modules again.
unexport PYTHONDONTWRITEBYTECODE

test: install ## Run the tests
	@$(PYTEST) -m 'not slow and not ray' -n 3 --dist loadfile --no-loadscope-reorder # they wait, too: for processes
	@$(PYTEST) -m 'not slow and ray'

test-all: install ## Run the tests, the slow ones too
	@$(PYTEST)

SECONDS ?= 600
fuzz: install ## Fuzz blobs, versions, vocabularies, vectors and requests, SECONDS=600 each, with sanitizers (needs gcc)
	@for target in blobs versions vocabularies floating http_requests; do $(BIN)/python tests/fuzz/run.py $$target --seconds $(SECONDS) || exit 1; done

check: install ## Lint, types, import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@PYTHONPATH=. $(BIN)/lint-imports

format: install ## Format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

wheels: $(BIN)/python ## Build wheels for Linux, macOS and Windows into dist/, with zig cc
	@$(PIP) setuptools ziglang
	@$(BIN)/python wheels.py

proto: install ## Generate the gRPC code from serve_app/grpc/nbmf.proto
	@$(BIN)/python -m grpc_tools.protoc -I. --python_out=. --pyi_out=. --grpc_python_out=. serve_app/grpc/nbmf.proto

$(BIN)/python:
	@$(PYTHON) -m venv $(VENV)

clean: ## Remove the virtual environment, caches and the demo's output
	rm -rf $(VENV) demo-output build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
