# FlowLLM workbench. Needs Python 3.11 to 3.13, git and make; `make` alone lists the targets.

SHELL := /bin/bash
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
# Newer than pyproject.toml and constraints.txt: the environment is as they say.
STAMP := $(VENV)/.stamp
# Another interpreter: make env PYTHON=/path/to/python3.12
PYTHON ?=
# Each process holds some 2 GB. Tests of a file share what they set up, so they stay together; in the
# browser only those that are marked so do.
PARALLEL = -n $(or $(WORKERS),2) --dist loadfile --no-loadscope-reorder
IN_BROWSER = -n $(or $(WORKERS),2) --dist loadgroup --no-loadscope-reorder

.PHONY: help env demo test test-fast test-slow lint format lab pages docs pictures bench bench-widgets fuzz chaos dist clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1 /p' $(MAKEFILE_LIST) | while read -r name what; do \
	    printf '  make %-13s %s\n' "$$name" "$$what"; done

env: $(STAMP) ## the environment in .venv, everything the tests need
	@echo "$(VENV) is ready ($$($(BIN)/python --version)); commands are in $(BIN), such as $(BIN)/flowllm"

demo: $(STAMP) ## 64 crystals from the shipped weights, into runs/demo anew
	@$(BIN)/flowllm generate --num 64 --seed 0 --record --texts --overwrite --out runs/demo

test: lint ## everything CI runs: lint, types, tests on WORKERS=2 processes
	@status=0; \
	$(BIN)/python -m pytest $(PARALLEL) --ignore tests/browser || status=$$?; \
	$(BIN)/python -m pytest $(IN_BROWSER) tests/browser || status=$$?; \
	exit $$status

test-fast: $(STAMP) ## the quick tests of every package, without real data and without a browser
	@$(BIN)/python -m pytest $(PARALLEL) -m "not slow and not data" --ignore tests/browser

test-slow: $(STAMP) ## every widget on a page that loads 5 s late on a slow processor (half an hour)
	@$(BIN)/python -m pytest tests/browser/test_late.py -m browser

lint: $(STAMP) ## style and types, nothing is changed
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(STAMP) ## write the style into the files
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lab: $(STAMP) ## JupyterLab on notebooks/, on this computer only, with a token
	@$(BIN)/jupyter lab --ServerApp.ip=127.0.0.1 --ServerApp.root_dir=. \
	    --LabApp.default_url=/lab/tree/notebooks

pages: $(STAMP) ## the notebooks, executed, as web pages in pages/ (some minutes)
	@$(BIN)/python recipes/pages.py --out pages

# Executed notebooks are made once and then taken as they are: `make pages` makes them anew.
docs: $(STAMP) ## the site, into site/; EXECUTE=no leaves notebooks without outputs
	@$(BIN)/python -m pip install --disable-pip-version-check --no-input -q \
	    -c constraints.txt -e '.[docs]'
	@if [ "$(EXECUTE)" != no ] && [ ! -d pages/executed ]; then \
	    $(BIN)/python recipes/pages.py --out pages; \
	fi
	@NO_MKDOCS_2_WARNING=1 PYTHONPATH=.:widgets $(BIN)/python -m mkdocs build --strict

pictures: $(STAMP) ## docs/images anew, from two evaluations: OURS= THEIRS= RUN=
	@$(BIN)/python -m recipes.widget_pictures $(OURS) $(THEIRS) $(RUN)

bench: $(STAMP) ## seconds per stage and crystals per second on this machine
	@$(BIN)/flowllm bench

bench-widgets: $(STAMP) ## how fast the widgets answer, in a real JupyterLab
	@$(BIN)/python -m recipes.widget_bench

fuzz: $(STAMP) ## broken inputs for MINUTES=30, each must be read or refused in a line
	@$(BIN)/python -m tests.fuzz --minutes $(or $(MINUTES),30)

chaos: $(STAMP) ## kill, fill the disk, tear files: TIMES=100, needs FLOWLLM_DATA_DIR (40 minutes)
	@$(BIN)/python -m recipes.chaos --times $(or $(TIMES),100)

dist: $(STAMP) ## source archive and wheel into dist/, the wheel tried in a new environment
	@$(BIN)/python -m recipes.try_wheel --out dist

clean: ## remove .venv and caches; runs/ stays
	@rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Each candidate is run, not only looked for: a name on the path may be a shim without a Python.
$(STAMP): pyproject.toml constraints.txt
	@set -e; \
	fits='import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))'; \
	if ! { $(BIN)/python -c "$$fits" && $(BIN)/python -m pip --version; } >/dev/null 2>&1; then \
	    for candidate in $(or $(PYTHON),python3.12 python3.11 python3.13 python3 python); do \
	        if "$$candidate" -c "$$fits" 2>/dev/null; then chosen=$$candidate; break; fi; \
	    done; \
	    if [ -z "$$chosen" ]; then \
	        echo "FlowLLM needs Python 3.11 to 3.13 with venv and ensurepip, and none of" \
	             "$(or $(PYTHON),python3.12, python3.11, python3.13, python3, python) is that." \
	             "On Debian and Ubuntu: apt-get install python3-venv." \
	             "Elsewhere: make env PYTHON=/path/to/python3.12" >&2; \
	        exit 1; \
	    fi; \
	    echo "Creating $(VENV) with $$("$$chosen" --version)"; \
	    rm -rf $(VENV); \
	    "$$chosen" -m venv $(VENV); \
	fi; \
	echo "Installing what pyproject.toml asks for into $(VENV): some 190 packages, several minutes"; \
	echo "(to follow: tail -f $(VENV)/install.log; torch without CUDA: see constraints.txt)"; \
	if ! $(BIN)/python -m pip install --disable-pip-version-check --no-input --progress-bar off \
	    -c constraints.txt -e '.[dev]' >$(VENV)/install.log 2>&1; then \
	    tail -n 25 $(VENV)/install.log >&2; \
	    echo "The installation failed; the whole log is in $(VENV)/install.log" >&2; \
	    exit 1; \
	fi; \
	touch $@
