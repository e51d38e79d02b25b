"""Real programs: MBPP's reference solutions, traced, rendered and judged, where the data is at hand."""

import json
import os
from pathlib import Path

import pytest

from nextkit.datasets.mbpp import load_mbpp
from nextkit.filtering import check_program
from nextkit.naturalize import count_tokens, naturalize, strip_trace
from nextkit.sandbox import Sandbox
from nextkit.tasks import RepairTask
from nextkit.tracing import trace, trace_all

DATA = Path(os.environ.get("NEXTKIT_DATA", "")) / "mbpp.jsonl"
needs_data = pytest.mark.skipif(not DATA.is_file(), reason="NEXTKIT_DATA names no folder with mbpp.jsonl")


def problems():
    for problem in load_mbpp(DATA):
        code, tests = problem.reference, problem.tests
        yield RepairTask(problem.task_id, problem.description, code, tests, setup=problem.setup, oracle="equal")


@needs_data
def test_all_of_mbpp_does_the_same_traced_as_plain_and_its_comments_come_off():
    with Sandbox(timeout=10) as sandbox:
        for task in problems():
            verdict = check_program(task, task.buggy, sandbox=sandbox)
            assert verdict.status == "passed", (task.task_id, verdict)
            found = trace(task, test=0, timeout=5, sandbox=sandbox)
            stopped = bool({"steps", "seconds"} & {*found.truncated})  # three run past the cap on steps
            assert found.outcome == ("timeout" if stopped else "passed"), (task.task_id, found.outcome)
            text = strip_trace(naturalize(found)).rstrip()
            assert text == f"{task.buggy.strip(chr(10))}\n{found.test.strip()}".rstrip(), task.task_id


@needs_data
def test_nearly_all_of_mbpp_fits_into_two_thousand_tokens():
    with Sandbox(workers=2, timeout=10) as sandbox:
        traces = trace_all(list(problems()), test=0, sandbox=sandbox)
    sizes = [count_tokens(naturalize(found)) for found in traces]
    assert sum(size > 2000 for size in sizes) <= 1  # mbpp/493 and its test alone are longer
    assert sorted(sizes)[len(sizes) // 2] < 165


def test_the_sanitized_edition_is_one_array(tmp_path):
    row = dict(task_id=601, prompt="Double.", code="def f(x):\n    return 2 * x", test_list=["assert f(1) == 2"])
    (tmp_path / "sanitized-mbpp.json").write_text("\ufeff" + json.dumps([row], indent=2), encoding="utf-8")
    (problem,) = load_mbpp(tmp_path / "sanitized-mbpp.json")
    assert (problem.number, problem.description) == (601, "Double.")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [("a.jsonl", b"", "is empty"), ("a.jsonl.gz", b"{}", "cannot be read"), ("a.jsonl", b"\xff\xfe", "cannot be read"),
     ("a.json", b"[{]", "begins as a JSON array"), ("a.json", b"[3]", "item 1: the item is '3'")],
)  # fmt: skip
def test_a_file_of_another_kind_is_named(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=said):
        load_mbpp(tmp_path / name)
