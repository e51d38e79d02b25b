"""Run folders: computed once, whole or not at all."""

import pytest

from nextkit.runs import Run
from nextkit.sandbox import Verdict

ROWS = [[Verdict("a", "passed")], [Verdict("b", "failed", 1)]]


def test_a_stage_is_computed_once(tmp_path):
    calls = []
    make = lambda: calls.append(1) or ROWS  # noqa: E731
    found = [Run(tmp_path).records("v", dict(n=1), make, Verdict) for _ in range(2)]
    assert found == [ROWS, ROWS] and len(calls) == 1


def test_other_parameters_are_another_stage(tmp_path):
    run = Run(tmp_path)
    run.records("v", dict(n=1), lambda: ROWS, Verdict)
    assert run.records("v", dict(n=2), lambda: ROWS[:1], Verdict) == ROWS[:1]


def test_a_stage_that_broke_leaves_nothing_behind(tmp_path):
    with pytest.raises(RuntimeError):
        Run(tmp_path).records("v", {}, lambda: (_ for _ in ()).throw(RuntimeError), Verdict)
    assert Run(tmp_path).records("v", {}, lambda: ROWS, Verdict) == ROWS


def test_events_are_kept_in_order(tmp_path):
    run = Run(tmp_path)
    run.log(stage="a")
    run.log(stage="b")
    assert [event["stage"] for event in Run(tmp_path).events()] == ["a", "b"]
