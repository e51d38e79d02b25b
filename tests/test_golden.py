"""Golden files: what varied programs (golden/*.program) look like naturalized (*.txt).

NEXTKIT_GOLDEN=write rewrites them: read the difference before you commit it.
"""

import os
from pathlib import Path

import pytest

from nextkit.naturalize import naturalize
from nextkit.tracing import trace_in_process

PROGRAMS = sorted((Path(__file__).parent / "golden").glob("*.program"))
LIMITS = {"endless": {"max_steps": 60}}


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_a_program_looks_as_it_did(path):
    program, test = path.read_text().split("\n#---\n")
    text = naturalize(trace_in_process(program, test, **LIMITS.get(path.stem, {}))) + "\n"
    golden = path.with_suffix(".txt")
    if os.environ.get("NEXTKIT_GOLDEN") == "write":
        golden.write_text(text)
    assert text == golden.read_text()
