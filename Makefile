# `make demo` and `make test` need nothing but Python 3.11 and this folder.
PYTHON ?= python3.11
TORCH  ?= 2.13.0
VENV   ?= .venv
BIN    := $(VENV)/bin
JOBS   ?= 2
N      ?= 20000

.PHONY: demo test check full fuzz bench env clean

demo: $(VENV)/.ready          ## inspect the bundled network and write report/
	$(BIN)/atrous inspect --html report/report.html --json-file report/report.json

test: $(VENV)/.ready          ## the tests, in parallel
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m "not full"

check: $(VENV)/.ready         ## style, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

full: $(VENV)/.ready          ## the long checks; keeps their output in benchmarks/results
	$(BIN)/python -m pytest -n $(JOBS)
	$(BIN)/python tools/fuzz.py --count $(N) --jobs $(JOBS) --save
	$(BIN)/python tools/fuzz.py --coverage --count $(N) --jobs $(JOBS) --save
	$(BIN)/python tools/fuzz.py --strided --count $(N) --jobs $(JOBS) --save
	$(BIN)/python tools/exhaust_schedules.py --save
	$(BIN)/python benchmarks/inspect_speed.py --save
	$(BIN)/python benchmarks/coverage_speed.py --save
	$(BIN)/python benchmarks/model_table.py --confirm --save
	$(BIN)/python benchmarks/lint_table.py --notes --save
	$(BIN)/python benchmarks/densify_table.py --jobs $(JOBS) --save
	$(BIN)/python benchmarks/redesign_table.py --save

fuzz: $(VENV)/.ready          ## N random networks against perturbation: make fuzz N=100000
	$(BIN)/python tools/fuzz.py --count $(N) --jobs $(JOBS)

bench: $(VENV)/.ready         ## ratios against the bare export, and against peers
	$(BIN)/python benchmarks/inspect_speed.py
	$(BIN)/python benchmarks/coverage_speed.py

env: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml Makefile tools/torchvision_cpu.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet torch==$(TORCH)
	$(BIN)/python tools/torchvision_cpu.py --install
	$(BIN)/python -m pip install --quiet --editable ".[all]" torch==$(TORCH)
	$(BIN)/python tools/dev_requirements.py | xargs $(BIN)/python -m pip install --quiet
	touch $@

clean:
	rm -rf $(VENV) report
