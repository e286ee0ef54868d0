# Every target works from a clean clone with CPython >= 3.11, pip and make, and again when run twice.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
READY_TO_TEST := $(VENV)/.ready-to-test
READY_TO_BENCH := $(VENV)/.ready-to-bench
OUT ?= demo-output
BENCH ?= --full --write
PYTEST ?= -n auto --dist worksteal

.PHONY: demo test lint bench zoo wheel clean

$(READY): pyproject.toml constraints.txt setup.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -c constraints.txt torch
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	touch $(READY)

$(READY_TO_TEST): $(READY)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[train,dev]'
	touch $(READY_TO_TEST)

demo: $(READY)  ## segment a whole head and two crops; pictures and segmentations go to demo-output/
	$(BIN)/python Resources/SampleData/demo.py $(OUT)

test: $(READY_TO_TEST)  ## one process for each core; PYTEST="-n 0 Testing/Unit/io" runs a part in one process
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest $(PYTEST)  # a hundred children would compile the package anew

lint: $(READY_TO_TEST)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(READY_TO_BENCH): $(READY)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[bench]'
	touch $(READY_TO_BENCH)

bench: $(READY_TO_BENCH)  ## docs/reference/performance.md and correct.md from this computer; 50 minutes, best when nothing else runs
	$(BIN)/python Testing/Benchmarks/run.py $(BENCH)
	$(BIN)/python Testing/Benchmarks/correct.py $(or $(HIPPOCAMPUS),../shared/data/hippocampus) $(or $(VOLUMES),../shared/data/volumes) --write

zoo: $(READY_TO_TEST)  ## docs/reference/accuracy.md: every network trained and scored; HIPPOCAMPUS=folder MINUTES=5.5
	PYTHONPATH=Testing $(BIN)/python -m Zoo.zoo $(or $(HIPPOCAMPUS),../shared/data/hippocampus) --minutes $(or $(MINUTES),5.5)

wheel: $(READY_TO_TEST)
	rm -rf dist build/lib
	$(BIN)/python -m build --wheel --outdir dist

clean:
	rm -rf $(VENV) build dist $(OUT)
