"""The TraceInspector, driven from Python alone."""

import pytest

from nextkit.tracing import trace_in_process
from nextkit.widgets import TraceInspector


@pytest.fixture
def inspector():
    return TraceInspector(trace_in_process("def f(n):\n    a = n + 1\n    return '<b>'", "assert f(1) == 2"))


def test_the_inspector_opens_at_the_last_step(inspector):
    assert inspector.step == 2


def test_setting_the_step_moves_the_variables(inspector):
    inspector.step = 0
    assert inspector.variables == {"n": "1"}
    inspector.step = 1
    assert inspector.variables == {"n": "1", "a": "2"}


def test_a_step_out_of_range_is_brought_into_it(inspector):
    inspector.step = 99
    assert inspector.step == 2


def test_a_trace_without_steps_is_refused():
    with pytest.raises(ValueError, match="no steps"):
        TraceInspector(trace_in_process("def f(): pass", "assert 1 == 2"))
