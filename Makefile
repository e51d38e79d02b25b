# make demo: NExT from start to end on the shipped model.   make test: everything that is checked.
# make lab: the notebooks in JupyterLab.   Another interpreter: make test PYTHON=python3.12

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
export PIP_DISABLE_PIP_VERSION_CHECK = 1
# Tests run side by side, each process of theirs on one thread: two that compute with all cores only wait for each other.
PYTEST := NEXTKIT_FAST=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses=logical --maxprocesses=4
SYNC := $(if $(filter output-sync,$(.FEATURES)),--output-sync=target)

.PHONY: demo test browser other-pythons lab clean

demo: $(READY)
	$(BIN)/python -m nextkit.demo

test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/nbstripout --keep-id --verify notebooks/*.ipynb notebooks/solutions/*.ipynb
	$(PYTEST) --dist=loadfile tests --ignore=tests/browser
	$(MAKE) --jobs=2 $(SYNC) browser other-pythons
	$(PYTEST) --nbmake --nbmake-timeout=600 notebooks

browser: $(READY)
	$(BIN)/python -m pytest tests/browser

other-pythons: $(READY)
	tests/other_pythons.sh

lab: $(READY)
	$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) notebooks/00_start_here.ipynb

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c "import sys; v = sys.version_info[:2]; sys.exit(not (3, 11) <= v < (3, 14) and \
		'$(PYTHON) is Python %d.%d; nextkit needs 3.11, 3.12 or 3.13: make $(MAKECMDGOALS) PYTHON=python3.11' % v)"
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --constraint constraints.txt -e '.[dev]'
	touch $(READY)

clean:
	rm -rf .venv
