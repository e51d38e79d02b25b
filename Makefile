# make demo: NExT from start to end on the shipped model.   make test: everything that is checked.
# make lab: the notebooks in JupyterLab.   Another interpreter: make test PYTHON=python3.12

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/ready
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: demo test lab clean

demo: $(READY)
	$(BIN)/python -m nextkit.demo

test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/nbstripout --keep-id --verify notebooks/*.ipynb notebooks/solutions/*.ipynb
	NEXTKIT_FAST=1 $(BIN)/python -m pytest tests --ignore=tests/browser
	$(BIN)/python -m pytest tests/browser
	tests/other_pythons.sh
	NEXTKIT_FAST=1 $(BIN)/python -m pytest --nbmake --nbmake-timeout=300 notebooks

lab: $(READY)
	$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) notebooks/00_start_here.ipynb

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt -e '.[dev]'
	touch $(READY)

clean:
	rm -rf .venv runs
