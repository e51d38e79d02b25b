"""HeFix+: HumanEvalFix with EvalPlus' tests. The rows here are our own, in the layout of the public files."""

import gzip
import json
import os
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest

from nextkit.comparing import encode
from nextkit.datasets import hefix_plus as module
from nextkit.datasets.expected import literal_source, write_tests
from nextkit.datasets.hefix_plus import hefix_plus
from nextkit.filtering import check_program

DATA = Path(os.environ.get("NEXTKIT_DATA", "nowhere"))


def row(number, entry, declaration, right, wrong, base, plus, atol=0):
    """A row of HumanEvalPack and one of HumanEval+."""
    pack = dict(
        task_id=f"Python/{number}", declaration=declaration, buggy_solution=wrong, entry_point=entry,
        docstring=f"About {entry}.", bug_type="value misuse",
    )  # fmt: skip
    problem = dict(
        task_id=f"HumanEval/{number}", prompt=declaration + f'    """About {entry}."""\n', canonical_solution=right,
        entry_point=entry, base_input=base, plus_input=plus, atol=atol,
    )  # fmt: skip
    return pack, problem


ROWS = [
    row(0, "half", "def half(x):\n", "    return x / 2\n", "    return x / 3\n", [[1], [3]], [[0], [10**400], [7]]),
    row(1, "lengthen", "def lengthen(s, n):\n", "    return s * n\n", "    return s if n < 5 else s * n + s\n",
        [["a", 1]], [["b", 10**6], ["a", 9], ["b", -1]]),
    row(32, "find_zero", "def poly(xs, x):\n    return sum(c * x ** i for i, c in enumerate(xs))\n\n\ndef find_zero(xs):\n",
        "    return 2.0\n", "    return 2.5\n", [[[-6, 1, 1]]], [[[-2, 1]]], 1e-4),
]  # fmt: skip


@pytest.fixture
def files(tmp_path):
    pack, plus = tmp_path / "pack.jsonl", tmp_path / "plus.jsonl.gz"
    pack.write_text("".join(json.dumps(pair[0]) + "\n" for pair in ROWS))
    with gzip.open(plus, "wt") as file:
        file.writelines(json.dumps(pair[1]) + "\n" for pair in ROWS)
    return pack, plus


@pytest.fixture
def tasks(files, sandbox):
    return hefix_plus(*files, sandbox=sandbox)


def test_every_row_is_a_task_with_its_description_and_bug(tasks):
    assert [task.task_id for task in tasks] == ["hefix-plus/0", "hefix-plus/1", "hefix-plus/32"]
    assert tasks[0].description == "About half." and tasks[0].buggy == "def half(x):\n    return x / 3\n"
    assert tasks[0].meta["bug_type"] == "value misuse"


def test_the_reference_says_what_is_expected(tasks):
    assert tasks[0].tests == ("assert half(1) == 0.5", "assert half(3) == 1.5")


def test_every_buggy_program_fails_a_shown_test_and_every_reference_passes_all(tasks, sandbox):
    for task in tasks:
        assert check_program(task, task.buggy, sandbox=sandbox).status == "failed"
        assert check_program(task, task.reference, hidden=True, sandbox=sandbox).status == "passed"


def test_an_input_on_which_the_reference_fails_or_says_too_much_is_left_out_and_counted(tasks):
    assert [task.meta["left_out"] for task in tasks] == [1, 1, 0]
    assert tasks[0].hidden_tests == ("assert half(0) == 0.0", "assert half(7) == 3.5")


def test_a_hidden_test_is_shown_where_no_other_fails(tasks):
    assert tasks[1].tests == ("assert lengthen('a', 1) == 'a'", "assert lengthen('a', 9) == 'aaaaaaaaa'")


def test_floats_have_a_tolerance_and_other_values_none(tasks):
    assert [task.tolerance for task in tasks] == [1e-6, 0.0, 1e-4]


def test_any_root_passes_for_find_zero(tasks, sandbox):
    other = "def find_zero(xs):\n    return -3.0 if len(xs) == 3 else 2.00001"
    assert check_program(tasks[2], other, hidden=True, sandbox=sandbox).status == "passed"


def test_one_for_true_passes_as_evalplus_has_it(tasks, sandbox):
    whole = "def half(x):\n    return x // 2 if x % 2 == 0 else x / 2"
    assert check_program(tasks[0], whole, hidden=True, sandbox=sandbox).status == "passed"


@pytest.mark.parametrize(
    "change, said",
    [(dict(entry_point=None), "pack.jsonl, line 1: entry_point is 'None': give it as str"),
     (dict(task_id="Python/x"), "task_id is 'Python/x': give one of Python's"),
     (dict(task_id="Java/0"), "task_id is 'Java/0': give one of Python's"),
     (dict(task_id="Python/99"), "HumanEval\\+ has no problem 99: give its whole file")],
)  # fmt: skip
def test_a_malformed_row_is_named_with_file_line_field_value_and_mend(files, sandbox, change, said):
    files[0].write_text(json.dumps(ROWS[0][0] | change) + "\n")
    with pytest.raises(ValueError, match=said):
        hefix_plus(*files, sandbox=sandbox)


def test_a_malformed_line_is_named(files, sandbox):
    files[0].write_text(json.dumps(ROWS[0][0]) + "\nnonsense\n")
    with pytest.raises(ValueError, match="pack.jsonl, line 2: 'nonsense' is no JSON object"):
        hefix_plus(*files, sandbox=sandbox)


def test_a_missing_file_is_named(tmp_path, files, sandbox):
    with pytest.raises(FileNotFoundError, match="gone.jsonl.*or 'hub'"):
        hefix_plus(tmp_path / "gone.jsonl", files[1], sandbox=sandbox)


def test_the_hub_and_the_release_give_the_same(files, tasks, sandbox, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *names, **_: asked.append(names) or files[0])
    monkeypatch.setattr(module, "PLUS", files[1].as_uri())
    monkeypatch.setattr(module, "CACHE", tmp_path / "cache")
    again = hefix_plus("hub", "hub", sandbox=sandbox)
    assert [task.tests for task in again] == [task.tests for task in tasks]
    assert asked == [("bigcode/humanevalpack", "data/python/data/humanevalpack.jsonl")]
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["plus.jsonl.gz"]


def test_without_a_network_the_mend_is_told_and_nothing_is_left(files, sandbox, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PLUS", (tmp_path / "gone.gz").as_uri())
    monkeypatch.setattr(module, "CACHE", tmp_path / "cache")
    with pytest.raises(OSError, match="could not be fetched.*give the path of the file"):
        hefix_plus(files[0], "hub", sandbox=sandbox)
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.skipif(not DATA.is_dir(), reason="set NEXTKIT_DATA to a folder with samples of the public files")
def test_the_public_files_are_read(sandbox):
    tasks = hefix_plus(DATA / "humanevalpack-python.sample.jsonl", DATA / "HumanEvalPlus.sample.jsonl", sandbox=sandbox)
    assert len(tasks) == 8 and all(len(task.hidden_tests) > 50 for task in tasks)
    assert {check_program(task, task.buggy, sandbox=sandbox).status for task in tasks} == {"failed"}
    assert {check_program(task, task.reference, hidden=True, sandbox=sandbox).status for task in tasks} == {"passed"}


@pytest.mark.parametrize("value", [1, "inf", [float("inf"), 2], (), {1: {2}}, -float("inf"), "it's", b"x", set()])
def test_a_value_is_written_as_a_literal_that_reads_back(value):
    import ast

    assert ast.literal_eval(literal_source(encode(value))) == value


@pytest.mark.parametrize("value", [float("nan"), [float("nan")], frozenset({1}), object()])
def test_what_no_literal_can_say_is_left_out(value):
    assert literal_source(encode(value)) is None


def test_generators_can_be_wrapped(sandbox):
    written = write_tests("def f(n): yield from range(n)", "f", [[2]], sandbox=sandbox, wrap="list")
    assert written == (["assert list(f(2)) == [0, 1]"], 0)


def test_a_reference_that_does_not_pass_gives_candidates_no_time(tasks, sandbox):
    wrong = replace(tasks[0], reference=tasks[0].buggy, meta={})
    with pytest.warns(UserWarning, match="hefix-plus/0: the reference does not pass"):
        assert module._timed(wrong, sandbox).meta == {}
