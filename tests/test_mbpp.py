"""Real programs: MBPP's reference solutions, traced, rendered and judged, where the data is at hand."""

import json
import os
from pathlib import Path

import pytest

from nextkit.naturalize import naturalize, strip_trace
from nextkit.sandbox import Sandbox
from nextkit.tasks import RepairTask
from nextkit.tracing import trace

DATA = Path(os.environ.get("NEXTKIT_DATA", "")) / "mbpp.jsonl"
BROKEN = {"mbpp/367", "mbpp/927"}  # their tests use a class that the data set leaves out
needs_data = pytest.mark.skipif(not DATA.is_file(), reason="NEXTKIT_DATA names no folder with mbpp.jsonl")


def problems(every):
    for number, line in enumerate(DATA.read_text().splitlines()):
        if number % every == 0:
            row = json.loads(line)
            tests = tuple(row["test_list"])
            yield RepairTask(
                f"mbpp/{row['task_id']}",
                row["text"],
                row["code"].replace("\r", ""),
                tests,
                setup=row["test_setup_code"],
            )


def check(every):
    with Sandbox(timeout=10) as sandbox:
        for task in problems(every):
            verdict = sandbox.check(task.buggy, task.tests, setup=task.setup)
            assert (verdict.status == "passed") == (task.task_id not in BROKEN), (task.task_id, verdict)
            found = trace(task, test=0, timeout=5, sandbox=sandbox)
            wanted = {"error"} if task.task_id in BROKEN else {"passed", "timeout"}  # some run past the cap on steps
            assert found.outcome in wanted and (found.outcome == "timeout") == bool(found.truncated), task.task_id
            text = strip_trace(naturalize(found)).rstrip()
            assert text == f"{task.buggy.strip(chr(10))}\n{found.test.strip()}".rstrip(), task.task_id


@needs_data
def test_a_sample_of_mbpp_passes_renders_and_strips_back():
    check(every=12)


@needs_data
@pytest.mark.slow
def test_all_of_mbpp_passes_renders_and_strips_back():
    check(every=1)
