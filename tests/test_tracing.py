"""Tracing: each step is true, kept apart by frame, and bounded."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextkit.tracer import literal
from nextkit.tracing import trace, trace_in_process


def steps_of(program, test, **limits):
    return trace_in_process(program, test, **limits).steps


def test_a_step_shows_what_its_line_changed():
    steps = steps_of("def f(n):\n    a = n + 1\n    return a", "assert f(1) == 2")
    assert [(s.line, s.changes, s.event, s.value) for s in steps] == [
        (1, (("n", "1"),), "call", ""),
        (2, (("a", "2"),), "line", ""),
        (3, (), "return", "2"),
    ]


def test_steps_are_numbered_in_order_of_execution():
    steps = steps_of("def f(n):\n    for i in range(n):\n        n = n\n    return n", "assert f(3) == 3")
    assert [s.index for s in steps] == list(range(len(steps)))


def test_recursion_keeps_frames_apart():
    steps = steps_of(
        "def f(n):\n    if n == 0:\n        return 0\n    r = f(n - 1)\n    return r + n", "assert f(2) == 3"
    )
    assert [(s.depth, dict(s.changes)["r"]) for s in steps if "r" in dict(s.changes)] == [(1, "1"), (2, "0")]


def test_a_change_in_place_through_a_callee_is_seen():
    program = "def g(a):\n    a[0][0] = 5\ndef f(x):\n    a = [[x]]\n    g(a)\n    return a"
    changed = [s for s in steps_of(program, "assert f(1) == 0") if s.line == 5]
    assert changed[0].changes == (("a", "[[5]]"),)


@pytest.mark.parametrize(("before", "after"), [("1", "True"), ("1", "1.0"), ("'(1, 2)'", "(1, 2)")])
def test_values_that_look_alike_are_changes(before, after):
    steps = steps_of(f"def f():\n    a = {before}\n    a = {after}\n    return a", "assert f() == 0")
    assert [s.changes for s in steps if s.changes] == [(("a", before),), (("a", after),)]


def test_an_exception_is_a_step_with_type_and_message():
    trace = trace_in_process("def f(x):\n    return x[9]", "assert f([1]) == 1")
    assert (trace.outcome, trace.steps[-1].event) == ("error", "exception")
    assert trace.steps[-1].value == trace.exception == "IndexError: list index out of range"


def test_an_exception_is_shown_where_it_was_raised_and_not_in_its_callers():
    steps = steps_of("def g():\n    return 1 / 0\ndef f():\n    return g()", "assert f() == 1")
    assert [s.function for s in steps if s.event == "exception"] == ["g"]


def test_a_caught_exception_does_not_end_the_trace():
    program = "def f():\n    try:\n        1 / 0\n    except ZeroDivisionError:\n        a = 2\n    return a"
    trace = trace_in_process(program, "assert f() == 2")
    assert trace.outcome == "passed" and "exception" in {s.event for s in trace.steps}


def test_the_assertion_tells_what_came_out_and_what_was_expected():
    trace = trace_in_process("def f(x):\n    return [x]", "assert f(1) == [2]")
    assert (trace.outcome, trace.got, trace.expected) == ("failed", "[1]", "[2]")


def test_an_endless_loop_stops_at_the_cap_on_steps():
    trace = trace_in_process("def f():\n    while True:\n        pass", "assert f() == 1", max_steps=40)
    assert (trace.outcome, trace.truncated, len(trace.steps)) == ("timeout", ("steps",), 40)


def test_a_number_that_explodes_is_stopped():
    trace = trace_in_process("def f(n):\n    while True:\n        n = n * n + 1", "assert f(3) == 1")
    assert (trace.outcome, trace.truncated) == ("timeout", ("values",))


def test_a_huge_list_is_shown_short():
    steps = steps_of("def f():\n    a = list(range(10 ** 5))\n    return 1", "assert f() == 1")
    assert all(len(value) < 260 for s in steps for _, value in s.changes)


def test_the_programs_own_repr_and_eq_are_never_called():
    program = "class A:\n    def __repr__(self):\n        raise SystemExit\n    __eq__ = __repr__\ndef f():\n    a = A()\n    return 1"
    assert trace_in_process(program, "assert f() == 1").outcome == "passed"


def test_a_generator_is_one_frame():
    program = "def g():\n    yield 1\n    yield 2\ndef f():\n    return list(g())"
    events = [(s.event, s.value) for s in steps_of(program, "assert f() == [1, 2]") if s.function == "g"]
    assert [event for event in events if event[0] != "line"] == [
        ("call", ""),
        ("yield", "1"),
        ("yield", "2"),
        ("return", "None"),
    ]


def test_printed_output_is_kept():
    assert trace_in_process("def f():\n    print('hi')", "assert f() == None").stdout == "hi\n"


def test_the_first_test_that_does_not_pass_is_traced(task, sandbox):
    other = "def f(x):\n    return 2"
    assert trace(task, program=other, sandbox=sandbox).test == task.tests[1]


def test_a_test_can_be_chosen(task, sandbox):
    assert trace(task, test=1, sandbox=sandbox).test == task.tests[1]


def test_the_sandbox_gives_the_same_trace_as_this_process(task, sandbox):
    assert trace(task, sandbox=sandbox) == trace_in_process(task.buggy, task.tests[0], task_id=task.task_id)


def test_a_program_that_hangs_in_one_line_comes_back_as_a_timeout(task, sandbox):
    hung = "def f(x):\n    import time\n    time.sleep(60)"
    assert trace(task, program=hung, timeout=0.3, sandbox=sandbox).outcome == "timeout"


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=3) | st.tuples(inner) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(plain)
def test_a_short_value_is_written_as_the_literal_that_python_reads_back(value):
    assert literal(value, 10_000) == repr(value)


@settings(max_examples=50)
@given(st.lists(st.integers(-9, 9), max_size=6), st.integers(-3, 3))
def test_tracing_does_not_change_the_result(xs, k):
    program = "def f(xs, k):\n    t = 0\n    for x in xs:\n        if x > k:\n            t += x\n        else:\n            xs = xs[1:]\n    return t, xs"
    namespace = {}
    exec(program, namespace)
    assert trace_in_process(program, f"assert f({xs}, {k}) == 0").got == repr(namespace["f"](list(xs), k))
