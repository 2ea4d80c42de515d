# Thin aliases of the real tools. `make` does everything a newcomer needs, `make test` checks everything.

BIN := .venv/bin
READY := .venv/.installed
export PYTHON
# One thread a process: pages and notebooks run side by side, and many threads on busy cores are slower than one.
export OMP_NUM_THREADS ?= 1

.PHONY: all full html train release sample test serve lint clean

all: sample html
	@$(BIN)/python -m tools.summary

$(READY): requirements.txt pyproject.toml tools/setup.sh
	@sh tools/setup.sh

full: export MLCOURSE_BUDGET = full
full: all                ## everything, with the longer trainings of the published site

train: $(READY)          ## the trainings that the pages show, kept in _build/trained
	@$(BIN)/python -m tools.train

html: release train      ## the book, in _build/html
	@$(BIN)/python -m tools.book build

release: $(READY)        ## the student notebooks, in release/
	@$(BIN)/python -m tools.release

sample: $(READY)         ## one sample submission, graded with nbgrader in _build/sample
	@$(BIN)/python -m tools.sample

test: html               ## the whole test suite: what only computes on all cores, then what grades and builds
	@$(BIN)/python -m pytest -m parallel --numprocesses auto --maxprocesses 8 --dist worksteal
	@$(BIN)/python -m pytest -m "not parallel"

serve: html              ## the book on http://localhost:8000
	@$(BIN)/python -m http.server --bind 127.0.0.1 --directory _build/html 8000

lint: $(READY)           ## style, and types of mlcourse
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

clean:                   ## removes what is generated; never notebooks, submissions, marks or .venv
	rm -rf _build book/solutions book/common-mistakes.md book/open-questions.md .pytest_cache .mypy_cache .ruff_cache .hypothesis
