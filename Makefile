PYTHON ?= python3
BIN := .venv/bin
.DEFAULT_GOAL := help

.PHONY: help demo test test-slow test-assets lint table maps selfcheck nightly-study clean

help:  ## Show what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(BIN)/genbias: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	@touch $@

demo: $(BIN)/genbias  ## Install, audit the built-in generators, print a table and the report's path
	$(BIN)/genbias run embedded --out runs/demo

test: $(BIN)/genbias  ## Install and run the test suite
	$(BIN)/python -m pytest

test-slow: $(BIN)/genbias  ## The tests that take minutes
	$(BIN)/python -m pytest -m slow --timeout 1800

test-assets: $(BIN)/genbias  ## The tests on third-party models and photographs (GENBIAS_ASSETS)
	$(BIN)/python -m pytest -m assets

lint: $(BIN)/genbias  ## Style
	$(BIN)/ruff check .

table: $(BIN)/genbias  ## Regenerate the README's tables: the benchmark at 10,000 images a generator
	$(BIN)/genbias run embedded --samples 10000 --out runs/table
	$(BIN)/python -m reports.readme runs/table README.md

maps: $(BIN)/genbias  ## Regenerate the README's paired audit of image-to-image maps
	$(BIN)/genbias run maps --out runs/maps
	$(BIN)/python -m reports.paired_map_picture runs/maps README.md

professors: $(BIN)/genbias  ## Regenerate the README's study of amplification
	$(BIN)/genbias run professors --out runs/professors
	$(BIN)/python -m reports.picture runs/professors reports/pictures/professors.svg

selfcheck: $(BIN)/genbias  ## Regenerate the README's coverage study: hours on two cores
	$(BIN)/genbias selfcheck --full --out runs/selfcheck; test -f runs/selfcheck/rows.jsonl
	$(BIN)/python -m reports.coverage_table runs/selfcheck README.md

nightly-study: $(BIN)/genbias  ## Count again how often the nightly job finds a step, and how often it cries wolf
	$(BIN)/python -m audit.history.study

clean:  ## Remove the environment and all runs
	rm -rf .venv runs build *.egg-info
