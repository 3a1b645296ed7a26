# ELBO Room. `make help` lists what there is. Needs Python 3.11 or newer, and make.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
NBVAL  := $(BIN)/python -m pytest -c /dev/null --rootdir=. -p no:cacheprovider --nbval-lax --nbval-current-env --nbval-cell-timeout=300 -q

.DEFAULT_GOAL := help
.PHONY: help setup lab test check progress update grade lessons slides site figures bench lint clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.ready  ## virtual environment, pinned packages, library (quick when nothing changed)

lab: setup  ## JupyterLab, open on the lessons
	$(BIN)/jupyter lab --notebook-dir=lessons $(LAB)

test: $(VENV)/.ready-test  ## everything: library, exercises, lessons, widgets in a browser
	@sh tests/install_browser.sh
	$(BIN)/ruff check .
	$(BIN)/ruff format --check course_lib tests
	COURSE_REQUIRE_BROWSER=1 $(BIN)/python -m pytest --timeout=900 -n 2 $(TEST)

check: setup  ## your answers: make check LESSON=04 (without LESSON: all lessons)
	@$(NBVAL) lessons/$(or $(LESSON),*)_*.ipynb

progress: setup  ## which of your saved answers are right, in seconds: make progress LESSON=04
	@$(BIN)/python -m course_lib.progress $(LESSON)

update: setup  ## the newest version of the course; keeps your answers and your own cells
	@$(BIN)/python -m course_lib.update
	@$(MAKE) --no-print-directory setup

grade: setup  ## a class: make grade FOLDER=handed-in writes grades/grades.csv and grades/reports
	@$(BIN)/python -m course_lib.authoring.grade "$(FOLDER)" --csv grades/grades.csv --reports grades/reports

lessons: setup  ## rebuild lessons/*.ipynb from lessons/source
	$(BIN)/python -m course_lib.authoring.build

slides: setup  ## decks to present, in build/slides: make slides LESSON=04 (without LESSON: all)
	$(BIN)/python -m course_lib.authoring.slides $(LESSON)

site: setup  ## the lessons as web pages, in build/site
	$(BIN)/python -m course_lib.authoring.site

figures: setup  ## remake lessons/figures from the solved lessons
	$(BIN)/python -m course_lib.authoring.figures

bench: $(VENV)/.ready-test  ## speed: a table of ratios
	$(BIN)/python tests/bench.py
	$(BIN)/python tests/bench_estimators.py

lint: $(VENV)/.ready-test  ## format and lint the code
	$(BIN)/ruff format course_lib tests
	$(BIN)/ruff check --fix .

clean:  ## remove the virtual environment and everything built
	rm -rf $(VENV) build .pytest_cache .ruff_cache

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make setup PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -qq --disable-pip-version-check -e .
	mkdir -p $(VENV)/etc/jupyter/labconfig  # no news pop-up, no look-up of updates
	cp course_lib/authoring/default_setting_overrides.json $(VENV)/etc/jupyter/labconfig/
	touch $@

$(VENV)/.ready-test: $(VENV)/.ready
	$(BIN)/python -m pip install -qq --disable-pip-version-check -e ".[test]"
	touch $@
