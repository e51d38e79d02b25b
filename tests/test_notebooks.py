"""The form of the notebooks: short cells, a goal, no stored output. That they run is checked by nbmake."""

from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
PATHS = sorted(FOLDER.rglob("*.ipynb"))


@pytest.fixture(params=PATHS, ids=lambda path: str(path.relative_to(FOLDER)))
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_no_output_is_stored(notebook):
    assert not any(cell.outputs or cell.execution_count for cell in code(notebook))
    assert "widgets" not in notebook.metadata and notebook.metadata.kernelspec.name == "python3"


def test_cells_are_short(notebook):
    assert max(len(cell.source.splitlines()) for cell in code(notebook)[1:]) <= 12


def test_something_is_asserted(notebook):
    assert any("assert " in cell.source for cell in code(notebook))


@pytest.mark.parametrize("path", [p for p in PATHS if p.parent == FOLDER], ids=lambda path: path.stem)
def test_a_notebook_opens_with_its_goal_and_time_and_has_a_solution_where_it_has_an_exercise(path):
    cells = nbformat.read(path, as_version=4).cells
    assert "**Goal:**" in cells[0].source and "**Read before:**" in cells[0].source and "Takes" in cells[0].source
    exercise = any("## Exercise" in cell.source for cell in cells)
    assert (FOLDER / "solutions" / path.name).exists() == exercise
