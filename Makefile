# What people type: `make run` measures, `make test` tests. Both install first, once, into .venv.
PYTHON ?= python3
VENV := .venv
SHIPPED := mobilenetv3-small-fp32 mobilenetv3-small-int8 mobilenetv3-small-mixed mobilenetv3-small-pruned-int8 \
	mobilenetv3-small-defakeq32-litert mobilenetv3-half-distilled-int8 mobilenetv2-half-distilled-int8 \
	mobilenetv4-small-distilled-int8
BIN := $(VENV)/bin

.PHONY: setup dev run test check format variants clean

setup: $(VENV)/.installed
dev: $(VENV)/.installed-dev

PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "edgerig needs Python 3.11 or newer; set PYTHON=..."; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(PIP) --editable '.[tflite,openvino]'
	@touch $@

# With the zoo: about 3 GB on the disk, most of it PyTorch; CONTRIBUTING.md says how not to get CUDA with it.
$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	$(PIP) --editable '.[dev,zoo]'
	@touch $(VENV)/.installed $@

# The main job: six of the shipped variants on the shipped faces on this machine.
run: setup
	$(BIN)/edgerig run --budget 25

test: dev
	$(BIN)/python -m pytest $(TESTS)

check: dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Trains what ships anew, more than an hour of one core, and writes it where it lies.
variants: dev
	$(BIN)/edgerig zoo build $(SHIPPED) --out model_zoo/variants

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache
