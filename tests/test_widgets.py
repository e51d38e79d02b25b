"""The widgets, driven from Python alone."""

import pytest

from nextkit.sandbox import Verdict
from nextkit.tracing import trace_in_process
from nextkit.widgets import RationaleReviewer, TraceInspector


@pytest.fixture
def inspector():
    return TraceInspector(trace_in_process("def f(n):\n    a = n + 1\n    return '<b>'", "assert f(1) == 2"))


@pytest.fixture
def reviewer(task, sample):
    samples = [sample(task.buggy), sample(task.reference), sample("<script>")]
    return RationaleReviewer(task, samples, [Verdict("t", s) for s in ("failed", "passed", "unparseable")])


def test_the_inspector_opens_at_the_last_step(inspector):
    assert inspector.step == 2


def test_setting_the_step_moves_view_and_variables(inspector):
    inspector.step = 0
    assert inspector.variables == {"n": "1"} and "step 0 of 2" in inspector._view.value
    inspector.step = 1
    assert inspector.variables == {"n": "1", "a": "2"} and "step 1 of 2" in inspector._view.value


def test_a_step_out_of_range_is_brought_into_it(inspector):
    inspector.step = 99
    assert inspector.step == 2


def test_programs_cannot_write_html(inspector, reviewer):
    reviewer.index = 2
    assert "<b>'" not in inspector.page() and "&lt;b&gt;" in inspector.page()
    assert "<script>" not in reviewer.page()


def test_a_trace_without_steps_is_refused():
    with pytest.raises(ValueError, match="no steps"):
        TraceInspector(trace_in_process("def f(): pass", "assert 1 == 2"))


def test_the_reviewer_shows_an_unchanged_program_as_such(reviewer):
    assert "unchanged" in reviewer.page()


def test_filtering_by_verdict_shows_only_those_samples(reviewer):
    reviewer.status = "passed"
    assert [v.status for _, v in reviewer.shown] == ["passed"] and "+     return x + 1" in reviewer.page()


def test_samples_without_their_verdicts_are_refused(task, sample):
    with pytest.raises(ValueError, match="1 samples and 0 verdicts"):
        RationaleReviewer(task, [sample("x")], [])
