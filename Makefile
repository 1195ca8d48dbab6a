PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode -c constraints.txt

# Without compiled bytecode every import of TensorFlow costs 20 seconds in place of 7.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test check install landmarks
.DEFAULT_GOAL := run

run: .venv/.installed  ## the whole pipeline on drawn faces: no download, a few minutes
	$(BIN)/mien run drawn_faces

test: .venv/.installed-test check  ## what CI runs
	$(BIN)/python -m pytest -n auto --dist loadgroup

check: .venv/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

install: .venv/.installed-test  ## .venv with everything, for developing

landmarks: .venv/.installed  ## dlib and its 68-point model, which is for research only
	$(INSTALL) -e '.[landmarks]'

.venv/bin/uv:
	$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(v not in {(3, 11), (3, 12)} and f"mien needs Python 3.11 or 3.12, this is {v[0]}.{v[1]}: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv

.venv/.installed: .venv/bin/uv pyproject.toml constraints.txt
	$(INSTALL) -e .
	touch $@

.venv/.installed-test: .venv/bin/uv pyproject.toml constraints.txt
	$(INSTALL) -e '.[test]'
	# Apart: TensorFlow imports a JAX that it finds, which takes every process 2 seconds more.
	$(INSTALL) --no-deps --target .venv/jax jax jaxlib
	touch .venv/.installed $@
