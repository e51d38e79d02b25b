"""Task files: read, written, and refused with a reason."""

from dataclasses import fields, replace

import pytest

from nextkit.filtering import check_program, judge
from nextkit.naturalize import naturalize
from nextkit.records import to_frame
from nextkit.tasks import load_tasks, save_tasks
from nextkit.tracing import trace
from nextkit.widgets import TraceInspector


def test_tasks_survive_a_round_trip(task, tmp_path):
    save_tasks(iter([task]), tmp_path / "t.jsonl")
    assert load_tasks(tmp_path / "t.jsonl") == [task]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\r"])
def test_a_text_may_hold_any_line_separator(task, tmp_path, separator):
    apart = replace(task, description=f"Add{separator}one.")
    save_tasks([apart], tmp_path / "t.jsonl")
    assert load_tasks(tmp_path / "t.jsonl") == [apart]


def test_a_file_with_line_ends_of_windows_is_read(task, tmp_path):
    save_tasks([task, replace(task, task_id="t/2")], tmp_path / "t.jsonl")
    text = (tmp_path / "t.jsonl").read_bytes()
    (tmp_path / "t.jsonl").write_bytes(text.replace(b"\n", b"\r\n"))
    assert [t.task_id for t in load_tasks(tmp_path / "t.jsonl")] == ["t/1", "t/2"]


def test_a_split_can_be_chosen(task, tmp_path):
    tasks = [replace(task, split="dev"), replace(task, task_id="t/2", split="train")]
    save_tasks(tasks, tmp_path / "t.jsonl")
    assert [t.task_id for t in load_tasks(tmp_path / "t.jsonl", split="train")] == ["t/2"]


@pytest.mark.parametrize("line", ["{", "[1]", '{"task_id": "a"}', '{"nonsense": 1}'])
def test_a_bad_line_is_named(task, tmp_path, line):
    path = tmp_path / "t.jsonl"
    save_tasks([task], path)
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(ValueError, match=r"t\.jsonl, line 2"):
        load_tasks(path)


def test_a_test_that_is_not_python_is_named_with_the_mend(task, tmp_path):
    with pytest.raises(ValueError, match=r"task 't/1': test 0 is not valid Python.*assert f\(1\) == 2"):
        save_tasks([replace(task, tests=("assert f(",))], tmp_path / "t.jsonl")


@pytest.mark.parametrize("tests", [(), "assert f(1) == 2", ["f(1) == 2"]])
def test_a_task_that_no_test_could_fail_cannot_be_made(task, tests):
    with pytest.raises(ValueError, match="t/1.*test"):
        replace(task, tests=tests)


def test_lists_of_tests_become_tuples(task):
    assert replace(task, tests=list(task.tests)) == task


def test_an_id_that_occurs_twice_is_refused_before_it_is_written_and_when_it_is_read(task, tmp_path):
    with pytest.raises(ValueError, match="2 tasks have the id 't/1'"):
        save_tasks([task, task], tmp_path / "t.jsonl")
    save_tasks([task], tmp_path / "t.jsonl")
    (tmp_path / "t.jsonl").write_text((tmp_path / "t.jsonl").read_text() * 2)
    with pytest.raises(ValueError, match="2 tasks have the id 't/1'"):
        load_tasks(tmp_path / "t.jsonl")


def test_a_file_without_a_task_of_the_split_names_those_there_are(task, tmp_path):
    save_tasks([replace(task, split="dev")], tmp_path / "t.jsonl")
    with pytest.raises(ValueError, match=r"no task of the split 'test': it has \['dev'\]"):
        load_tasks(tmp_path / "t.jsonl", split="test")


def test_a_wrong_field_is_answered_with_the_names_of_all(tmp_path):
    (tmp_path / "t.jsonl").write_text('{"id": "a"}')
    with pytest.raises(ValueError, match=r"its fields: task_id, description, buggy, tests, \[hidden_tests\]"):
        load_tasks(tmp_path / "t.jsonl")


def test_a_missing_file_names_the_sets_there_are():
    with pytest.raises(FileNotFoundError, match="nowhere.*train"):
        load_tasks("nowhere")


def test_records_become_a_table_of_their_fields(task):
    assert list(to_frame([task, task]).columns) == [field.name for field in fields(task)]


def test_an_unknown_oracle_is_named_with_those_there_are(task, tmp_path):
    with pytest.raises(ValueError, match="'t/1': oracle 'nearly'.*exact, equal, root"):
        save_tasks([replace(task, oracle="nearly")], tmp_path / "t.jsonl")


@pytest.mark.parametrize("test", ["f(1) == 2", "pass", "def test():\n    assert f(1) == 2", "x = f(1)"])
def test_a_test_that_asserts_nothing_is_refused(task, tmp_path, test):
    with pytest.raises(ValueError, match=r"'t/1': test 0 asserts nothing.*assert f\(1\) == 2"):
        save_tasks([replace(task, tests=(test,))], tmp_path / "t.jsonl")


@pytest.mark.parametrize("test", ["check(f)", "for x in (1, 2):\n    assert f(x)", "def t():\n    assert f(1)\nt()"])
def test_a_test_may_assert_in_other_ways(task, tmp_path, test):
    save_tasks([replace(task, tests=(test,))], tmp_path / "t.jsonl")


def test_hidden_tests_as_one_text_are_refused(task, tmp_path):
    with pytest.raises(ValueError, match="'t/1': hidden_tests must be a list"):
        save_tasks([replace(task, hidden_tests="assert f(1) == 2")], tmp_path / "t.jsonl")


def test_tests_may_come_from_a_generator(task):
    assert replace(task, tests=(test for test in task.tests)) == task


@pytest.mark.parametrize("wrong", [dict(hidden_tests=None), dict(tests=("-" * 100_000,)), dict(tests=7)])
def test_what_is_no_test_is_refused_by_the_tasks_name(task, wrong):
    with pytest.raises(ValueError, match="task 't/1'"):
        replace(task, **wrong)


@pytest.mark.parametrize(
    ("give", "mend"),
    [
        (lambda task: trace([task]), "list where a RepairTask is wanted: .*trace_all"),
        (naturalize, r"RepairTask where a Trace is wanted: trace\(task\) makes one"),
        (TraceInspector, r"RepairTask where a Trace is wanted: trace\(task\) makes one"),
        (lambda task: judge(task, task.buggy), r"check_program\(task, program\)"),
        (lambda task: check_program(task.buggy, task), "str where a RepairTask is wanted: first the task"),
    ],
)
def test_one_thing_given_for_another_is_named_with_the_mend(task, give, mend):
    with pytest.raises(TypeError, match=mend):
        give(task)


def test_one_test_without_a_list_around_it_is_refused(task):
    with pytest.raises(ValueError, match="found one text, 'assert f.1. == 2': put it into a list"):
        replace(task, tests="assert f(1) == 2")
