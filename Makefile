# Everything a person or CI runs. `make demo` and `make test` need only Python 3.11+ and pip.
#
# On Linux the package registry's torch is the CUDA build, several gigabytes. For the CPU build:
#   make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu

PYTHON ?= python3
TORCH_INDEX ?=
EXTRA ?= cpu
BIN := .venv/bin
READY := .venv/ready

.PHONY: demo test torture check format race-small screenshots clean

demo: $(READY)
	$(BIN)/curator demo

test: $(READY)
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadgroup

# Every fault at every point: half an hour on two cores. `make test` has a few of each kind.
torture: $(READY)
	CURATOR_TORTURE=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 tests/test_faults.py tests/test_upkeep.py tests/test_storage.py

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# A race of the default recipe in minutes: make race-small DATA=folder, of the public sets that benchmarks/README.md names.
race-small: $(READY)
	test -n "$(DATA)" || { echo "make race-small DATA=folder: name the folder of the public sets" >&2; exit 2; }
	$(BIN)/python benchmarks/races.py --data "$(DATA)" --work race-small --small

# The pictures of the README. Needs chromium and chromedriver.
screenshots: $(READY)
	$(BIN)/python docs/screenshots.py

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[$(EXTRA),dev]'
	touch $(READY)

clean:
	rm -rf .venv demo-work race-small
