# One verb for each habit. `make demo` and `make test` are all a newcomer needs.
# PYTHON picks the interpreter of the virtual environment: make setup PYTHON=python3.12

# `make demo PATH=folder`: make would hand that PATH to every recipe and find no program any more.
# Keep it as the demo's folder, and give recipes the search path that make was started with.
ifeq ($(origin PATH),command line)
  demo_path := $(PATH)
  inherited := $(shell printf '%s' "$$PATH")
  ifeq ($(inherited),$(demo_path)) # make 4.4 and later hide the inherited one
    inherited := /usr/local/bin:/opt/homebrew/bin:/usr/bin:/bin
  endif
  override PATH := $(inherited)
endif

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A stamp tells that an environment is complete, and is older than what it was made from.
READY := $(VENV)/.ready
PROTO_READY := .venv-proto/.ready
# The floor of the grpcio range in pyproject.toml: generated code works with that version and later.
GRPC_TOOLS := grpcio-tools==1.76.0

.PHONY: setup demo test test-long lint types imports proto check pictures bench clean

setup: $(READY)

demo: $(READY)
	@$(BIN)/nova-node demo$(if $(demo_path), --path '$(subst ','\'',$(demo_path))')

test: $(READY)
	@$(BIN)/pytest -n 2 --dist loadfile

test-long: $(READY)
	@$(BIN)/pytest -m long --timeout 1800

lint: $(READY)
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check

types: $(READY)
	@$(BIN)/pyright

imports: $(READY)
	@$(BIN)/lint-imports --no-logo

check: lint types imports test

proto: $(PROTO_READY)
	@.venv-proto/bin/python -m grpc_tools.protoc -I proto \
	  --python_out=proto --pyi_out=proto --grpc_python_out=proto proto/nova_proto/v1/*.proto

pictures: $(READY)
	@$(BIN)/python docs/pictures/make.py

bench: $(READY)
	@$(BIN)/python tests/bench/run.py

clean:
	rm -rf $(VENV) .venv-proto .venv-bench-* build dist .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

define check_python
import sys
if sys.version_info < (3, 11):
    sys.exit("Nova needs Python 3.11 or newer; $(PYTHON) is %d.%d.\n"
        "Install a newer one, then name it: make setup PYTHON=python3.12" % sys.version_info[:2])
try:
    import venv, ensurepip
except ImportError:
    sys.exit("This Python cannot make virtual environments: venv or ensurepip is missing.\n"
        "Debian and Ubuntu: apt-get install python3-venv. Then run make again.")
endef
export check_python

define find_python
command -v '$(PYTHON)' >/dev/null || { \
  echo 'No $(PYTHON) here. Install Python 3.11 or newer (Debian and Ubuntu: apt-get install' \
    'python3 python3-venv), or name one: make setup PYTHON=/path/to/python3' >&2; exit 1; }
$(PYTHON) -c "$$check_python"
endef

$(READY): pyproject.toml
	@$(find_python)
	@echo 'Setting up $(VENV) (once, about a minute) ...'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -q --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install -q --editable . --group dev
	@touch $@

$(PROTO_READY): Makefile
	@$(find_python)
	@$(PYTHON) -m venv .venv-proto
	@.venv-proto/bin/python -m pip install -q $(GRPC_TOOLS)
	@touch $@
