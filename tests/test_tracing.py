"""Tracing: each step is true, kept apart by frame, and bounded."""

import sys
import threading
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextkit.tasks import RepairTask
from nextkit.tracer import literal
from nextkit.tracing import trace, trace_all, trace_in_process


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


def test_a_test_passes_in_a_trace_when_it_passes_the_judge(sandbox):
    task = RepairTask("t", "", "def f(x):\n    return x * 2.0", ("assert f(1) == 2", "assert f(2) == 4.0000001"))
    assert (trace(task, sandbox=sandbox).outcome, trace(task, sandbox=sandbox).got) == ("failed", "2.0")
    assert trace(replace(task, oracle="equal"), test=0, sandbox=sandbox).outcome == "passed"
    assert trace(replace(task, oracle="equal", tolerance=1e-6), sandbox=sandbox).outcome == "passed"
    root = RepairTask(
        "t", "", "def f(c):\n    return 3.0", ("assert f([-9, 0, 1]) == -3.0",), oracle="root", tolerance=1e-6
    )
    assert trace(root, sandbox=sandbox).outcome == "passed"


def test_data_that_objects_share_through_their_class_is_seen_to_be_shared():
    program = "class Cart:\n    items = []\ndef f():\n    a = Cart()\n    b = Cart()\n    a.items.append(1)\n    return b.items"
    changed = [s.changes for s in steps_of(program, "assert f() == []") if s.line == 6]
    assert changed == [(("a.items", "[1]"), ("b.items", "[1]"))]


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


def test_a_limit_of_nothing_is_refused(task):
    for limit in ("max_steps", "timeout", "keep"):
        with pytest.raises(ValueError, match=f"{limit} is 0"):
            trace(task, **{limit: 0})


def test_a_test_can_be_given_by_its_source(task, sandbox):
    assert trace(task, test=task.tests[1], sandbox=sandbox) == trace(task, test=1, sandbox=sandbox)


def test_a_test_can_be_chosen(task, sandbox):
    assert trace(task, test=1, sandbox=sandbox).test == task.tests[1]


def test_the_sandbox_gives_the_same_trace_as_this_process(task, sandbox):
    assert trace(task, sandbox=sandbox) == trace_in_process(task.buggy, task.tests[0], task_id=task.task_id)


def test_as_many_tasks_are_traced_at_once_as_the_sandbox_has_workers(task):
    meeting = threading.Barrier(3, timeout=20)

    class Three:
        workers = 3

        def trace(self, **arguments):
            meeting.wait()
            return dict(steps=[], outcome="failed", truncated=[])

    assert [found.outcome for found in trace_all([task] * 3, sandbox=Three())] == ["failed"] * 3


def test_a_program_that_hangs_in_one_line_comes_back_as_a_timeout(task, sandbox):
    hung = "def f(x):\n    import time\n    time.sleep(60)"
    assert trace(task, program=hung, timeout=0.3, sandbox=sandbox).outcome == "timeout"


@pytest.mark.parametrize(
    ("line", "where"),
    [
        ("return xs[0] + xs[9]", "xs[9]"),
        ("return 1 // (len(xs) - 1)", "1 // (len(xs) - 1)"),
        ("return [x[0] for x in xs]", "x[0]"),
        ("return xs.nothing", "xs.nothing"),
        ("return unknown + 1", "unknown"),
    ],
)
def test_the_expression_that_raised_is_named(line, where):
    (step,) = [s for s in steps_of(f"def f(xs):\n    {line}", "assert f([1]) == 1") if s.event == "exception"]
    assert step.where == where


def test_an_exception_that_finally_passes_on_is_no_return():
    program = "def f():\n    try:\n        raise KeyError(1)\n    finally:\n        a = 1"
    assert {s.event for s in steps_of(program, "assert f() == 1")} == {"call", "line", "exception"}


def test_an_exception_with_a_message_of_the_programs_own_does_not_run_it():
    program = "class E(Exception):\n    def __str__(self):\n        print('side')\n        return 'x'\ndef f():\n    raise E('why')"
    found = trace_in_process(program, "assert f() == 1")
    assert (found.exception, found.stdout) == ("E: why", "")


@pytest.mark.parametrize(
    ("test", "got", "expected"),
    [
        ("assert f(1) == 2", "1", "2"),
        ("assert not f(1)", "1", "False"),
        ("assert f(0)", "0", "True"),
        ("assert f(1) in (2, 3)", "1", "in (2, 3)"),
        ("assert f(1) > 4, 'small'", "1", "> 4"),
        ("def check(g):\n    assert g(1) == 1\n    assert g(2) == 3\ncheck(f)", "2", "3"),
    ],
)
def test_every_form_of_assertion_tells_both_sides(test, got, expected):
    found = trace_in_process("def f(x):\n    return x", test)
    assert (found.outcome, found.got, found.expected) == ("failed", got, expected)


def test_an_assert_of_the_program_tells_both_sides_too():
    steps = steps_of("def f(x):\n    y = [x]\n    assert y == x", "assert f(1) == 1")
    assert steps[-1].value == "AssertionError: got [1], expected 1"


def test_the_line_of_the_test_that_failed_is_known():
    found = trace_in_process("def f(x):\n    return x", "assert f(1) == 1\nassert f(2) == 3\nassert f(4) == 4")
    assert found.test_line == 2


def test_printed_output_belongs_to_the_step_that_printed_it():
    program = "def g():\n    print('in')\ndef f():\n    g()\n    print('out')"
    printed = {s.line: s.output for s in steps_of(program, "assert f() == 1") if s.output}
    assert printed == {2: "in\n", 5: "out\n"}


def test_numpy_values_are_written_and_never_compared():
    pytest.importorskip("numpy")
    program = "import numpy as np\ndef f():\n    a = np.zeros(2)\n    a[1] = 5\n    b = {'k': a}\n    a += 1\n    return a.sum()"
    changes = [s.changes for s in steps_of(program, "assert f() == 0") if s.changes]
    assert changes[1] == (("a", "array([0.0, 5.0])"),)
    assert changes[3] == (("a", "array([1.0, 6.0])"), ("b", "{'k': array([1.0, 6.0])}"))


def test_numpy_works_in_the_sandbox(task, sandbox):
    pytest.importorskip("numpy")
    program = "import numpy as np\ndef f(x):\n    a = np.arange(x + 2)\n    return int(a.sum())"
    found = trace(task, program=program, test=0, sandbox=sandbox)
    assert found.steps[1].changes == (("a", "array([0, 1, 2])"),) and found.got == "3"


@pytest.mark.parametrize(
    ("made", "line", "change"),
    [
        ("bytearray(3)", "b[1] = 7", ("b", "bytearray([0, 7, 0])")),
        ("bytearray(3)", "b.append(9)", ("b", "bytearray([0, 0, 0, 9])")),
        ("bytearray(1000)", "b[999] = 7", ("b[999]", "7")),
        ("bytearray(1000)", "b[5] = 0", None),
        ("array.array('d', [0.0] * 1000)", "b[7] = -0.0", ("b[7]", "-0.0")),
        ("array.array('q', [2 ** 40, 5])", "b[0] = 2 ** 40", None),
        ("array.array('q', [2 ** 40, 5])", "b[0] = 1", ("b", "array([1, 5])")),
    ],
)
def test_changes_in_a_buffer_of_numbers_are_seen(made, line, change):
    found = trace_in_process(f"import array\ndef f():\n    b = {made}\n    {line}\n    return 1", "assert f() == 1")
    assert [s.changes for s in found.steps if s.line == 4] == [(change,) if change else ()]


def test_pandas_values_are_written_by_their_contents():
    pytest.importorskip("pandas")
    program = "import pandas as pd\ndef f():\n    d = pd.DataFrame({'x': [1, 2]})\n    d['y'] = d.x * 2\n    s = d.y\n    return 1"
    changes = [s.changes for s in steps_of(program, "assert f() == 0") if s.changes]
    assert changes == [
        (("d", "DataFrame({'x': [1, 2]})"),),
        (("d", "DataFrame({'x': [1, 2], 'y': [2, 4]})"),),
        (("s", "Series([2, 4])"),),
    ]


def test_attributes_are_changes_of_their_object():
    program = "class A:\n    def __init__(self):\n        self.v = 1\n    def set(self):\n        self.v = 3\ndef f():\n    a = A()\n    a.set()"
    changes = [s.changes for s in steps_of(program, "assert f() == 0") if s.changes and s.event != "call"]
    assert changes == [(("a", "A(v=1)"),), (("self.v", "1"),), (("a.v", "3"),), (("self.v", "3"),)]


def test_a_name_that_held_a_list_may_hold_a_function_then():
    program = "def f():\n    a = [1]\n    b = a\n    a = len\n    b.append(2)\n    return a(b)"
    assert [dict(s.changes) for s in steps_of(program, "assert f() == 0") if s.line == 5] == [{"b": "[1, 2]"}]


def test_an_object_may_be_given_another_class():
    program = "class A:\n    pass\nclass B:\n    pass\ndef f():\n    a = A()\n    a.__class__ = B\n    return 1"
    assert [dict(s.changes) for s in steps_of(program, "assert f() == 0") if s.line == 7] == [{"a": "B()"}]


def test_a_change_on_the_last_line_is_seen():
    assert steps_of("def f(a):\n    a.append(1)", "assert f([]) == 1")[-1].changes == (("a", "[1]"),)


def test_a_global_that_a_function_binds_is_a_change():
    program = "n = 0\ndef f():\n    global n\n    n += 1\n    return n"
    assert [s.changes for s in steps_of(program, "assert f() == 0") if s.line == 4] == [(("n", "1"),)]


def test_a_table_too_long_to_write_is_told_by_its_element():
    program = (
        "def f():\n    t = [[0] * 20 for _ in range(20)]\n    t[3][4] = 7\n    row = t[3]\n    row[0] = 9\n    return 1"
    )
    steps = {s.line: dict(s.changes) for s in steps_of(program, "assert f() == 0") if s.changes}
    assert steps[3] == {"t[3][4]": "7"} and steps[5]["t[3][0]"] == "9"


def test_a_long_table_of_one_row_many_times_changes_in_all_its_rows_at_once():
    program = "def f():\n    t = [[0] * 50] * 3\n    t[0][4] = 7\n    return t[2][4]"
    (step,) = [s for s in steps_of(program, "assert f() == 0") if s.line == 3]
    assert dict(step.changes) == {"t[0][4]": "7", "t[1][4]": "7", "t[2][4]": "7"}


@pytest.mark.parametrize(("program", "test"), [("def f(:", "assert f() == 1"), ("def f(): pass", "assert f(")])
def test_what_is_not_python_is_an_error_without_steps(program, test):
    found = trace_in_process(program, test)
    assert (found.outcome, found.steps) == ("error", ()) and found.exception.startswith("SyntaxError")


def test_several_tests_run_one_after_the_other(task, sandbox):
    found = trace(task, program=task.reference, test=(1, 0), sandbox=sandbox)
    assert found.test == f"{task.tests[1]}\n{task.tests[0]}" and [s.event for s in found.steps].count("call") == 2


def test_a_test_that_is_not_there_is_named(task):
    with pytest.raises(ValueError, match="'t/1' has no test 5: it shows 2"):
        trace(task, test=5)


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


def test_a_with_over_several_lines_is_one_step_with_all_that_it_binds():
    program = 'def f():\n    with (\n        open("/dev/null") as a,\n        open("/dev/null") as b,\n    ):\n        c = 1\n    return c'
    steps = steps_of(program, "assert f() == 1")
    assert [(s.line, [path for path, _ in s.changes]) for s in steps[1:3]] == [(2, ["a", "b"]), (6, ["c"])]


def test_a_body_on_the_line_of_its_def_stands_there_and_not_at_the_decorator():
    program = "class A:\n    @property\n    def v(self): return 3\ndef f():\n    return A().v"
    (step,) = [s for s in steps_of(program, "assert f() == 3") if s.function == "v" and s.event == "return"]
    assert step.line == 3


def test_the_end_of_an_awaitable_is_no_exception():
    program = "import asyncio\nasync def g(x):\n    await asyncio.sleep(0)\n    return 2 * x\nasync def h():\n    a, b = await asyncio.gather(g(1), g(2))\n    return a + b\ndef f():\n    return asyncio.run(h())"
    found = trace_in_process(program, "assert f() == 6")
    assert (found.outcome, {s.event for s in found.steps}) == ("passed", {"call", "line", "return"})


def test_a_generator_that_began_unseen_is_told_as_a_call_when_it_goes_on():
    program = "def ids(p):\n    i, xs = 0, []\n    del p\n    while True:\n        yield i\n        i += 1\n        xs.append(i)\nclass A:\n    it = ids(1)\n    first = next(it)\ndef f():\n    return next(A.it)"
    found = trace_in_process(program, "assert f() == 1")
    seen = [(s.event, s.line, s.changes) for s in found.steps if s.function == "ids"]
    assert (found.outcome, seen[0]) == ("passed", ("call", 1, ()))
    assert seen[2:4] == [("line", 6, (("i", "1"),)), ("line", 7, (("xs", "[1]"),))]


def test_two_generators_of_one_function_are_two_frames_wherever_they_go_on():
    program = "def g(n):\n    i = n\n    while True:\n        yield i\n        i += 1\ndef h(it):\n    return next(it)\ndef f():\n    a, b = g(0), g(10)\n    next(a)\n    next(b)\n    return h(a) + next(b)"
    found = trace_in_process(program, "assert f() == 12")
    seen = [
        (s.frame, s.depth, dict(s.changes)["i"]) for s in found.steps if s.function == "g" and "i" in dict(s.changes)
    ]
    (a, _, _), (b, _, _), *_ = seen
    assert (found.outcome, a != b) == ("passed", True)
    assert seen == [(a, 2, "0"), (b, 2, "10"), (a, 3, "1"), (b, 2, "11")]


def test_a_generator_that_an_earlier_program_left_is_not_of_this_one():
    earlier = "def ids():\n    try:\n        yield 1\n    finally:\n        x = 2\nit = ids()\nnext(it)"
    exec(compile(earlier, "<program>", "exec"), names := {})
    sys.earlier = [names.pop("it")]  # its last reference goes while f runs
    found = trace_in_process("def f():\n    import sys\n    sys.earlier.pop()\n    return 1", "assert f() == 1")
    assert (found.outcome, {s.function for s in found.steps}) == ("passed", {"f"})


def test_a_function_that_was_given_other_code_is_followed_too():
    program = (
        "import types\n@types.coroutine\ndef g():\n    x = 1\n    yield x\n    return 2\ndef f():\n    return list(g())"
    )
    found = trace_in_process(program, "assert f() == [1]")
    seen = [(s.event, s.line) for s in found.steps if s.function == "g"]
    assert (found.outcome, seen) == (
        "passed",
        [("call", 3), ("line", 4), ("yield", 5), ("line", 5), ("return", 6)],
    )


def test_what_runs_in_a_thread_of_asyncio_is_not_mixed_into_the_trace():
    program = "import asyncio\ndef w(n):\n    a = n\n    return a\nasync def h():\n    y = await asyncio.to_thread(w, 5)\n    return y\ndef f():\n    return asyncio.run(h())"
    found = trace_in_process(program, "assert f() == 5")
    assert (found.outcome, {s.function for s in found.steps}) == ("passed", {"f", "h"})


@pytest.mark.parametrize(
    ("head", "line", "change"),
    [
        ("from collections import defaultdict\nd = defaultdict(list)", "if d[4]: pass", "defaultdict({4: []})"),
        ("import operator\nd = [1]", "operator.setitem(d, 0, 5)", "[5]"),
        ("import re\nd = []\ndef note(m): return str(d.append(1))", "re.sub('a', note, 'a')", "[1]"),
    ],
)
def test_what_a_harmless_looking_line_changes_is_seen(head, line, change):
    program = f"{head}\ndef f():\n    e = d\n    {line}\n    return 1"
    steps = [s for s in steps_of(program, "assert f() == 1") if s.function == "f"]
    assert ("e", change) in steps[2].changes


def test_a_private_name_of_a_class_is_followed():
    program = "class A:\n    def m(self, __p):\n        __t = 5; __t += __p\n        return __t\ndef f():\n    return A().m(2)"
    assert [dict(s.changes) for s in steps_of(program, "assert f() == 7") if s.line == 3] == [{"_A__t": "7"}]


@pytest.mark.parametrize(
    ("start", "line", "changes"),
    [
        ("[0] * 70", "a[a[0]] = 50", {"a[0]": "50"}),
        ("list(range(4, 74))", "a[a[i] - 1], a[i] = a[i], a[a[i] - 1]", {"a[0]": "7", "a[3]": "4"}),
        ("[0] * 70", "a[i] = 7; i += 1", {"a[0]": "7", "i": "1"}),
        ("[0] * 70", "i += 1; a[i] = 7", {"a[1]": "7", "i": "1"}),
        ("list(range(70))", "a[i], a[i + 1] = a[i + 1], a[i]", {"a[0]": "1", "a[1]": "0"}),
    ],
)
def test_an_element_of_a_long_list_is_found_though_its_index_changes(start, line, changes):
    steps = steps_of(f"def f():\n    i = 0\n    a = {start}\n    {line}\n    return 1", "assert f() == 1")
    assert [dict(s.changes) for s in steps if s.line == 4] == [changes]


def test_lines_may_end_as_they_did_on_old_machines():
    found = trace_in_process("def f():\r    a = 1\r    return a", "assert f() == 1")
    assert (found.outcome, [s.line for s in found.steps]) == ("passed", [1, 2, 3])


def test_the_expression_that_raised_is_named_after_characters_that_look_like_line_ends():
    program = "def f():\n    s = '\u2028\x0c\x85'\n    return s / 0"
    assert steps_of(program, "assert f() == 1")[-1].where == "s / 0"


def test_bytes_that_a_program_writes_are_output():
    program = "import sys\ndef f():\n    sys.stdout.reconfigure(encoding='utf-8')\n    return sys.stdout.buffer.write(b'x\\xff')"
    found = trace_in_process(program, "assert f() == 2")
    assert (found.outcome, found.stdout) == ("passed", "x\ufffd")


def test_an_exception_that_was_handled_is_not_kept_alive():
    program = "gone = []\nclass R:\n    def __del__(self):\n        gone.append(1)\ndef g():\n    r = R()\n    raise ValueError\ndef f():\n    try:\n        g()\n    except ValueError:\n        pass\n    return len(gone)"
    assert trace_in_process(program, "assert f() == 1").outcome == "passed"


def test_each_of_several_exceptions_is_told_once():
    program = "def g():\n    int('x')\ndef f():\n    for i in range(3):\n        try:\n            g()\n        except ValueError:\n            pass"
    assert [s.function for s in steps_of(program, "assert f() == 1") if s.event == "exception"] == ["g"] * 3


def test_an_exception_that_waits_while_another_is_handled_is_told_once():
    program = "def g():\n    try:\n        int('x')\n    finally:\n        try:\n            int('y')\n        except ValueError:\n            pass\ndef f():\n    g()"
    told = [(s.function, s.line) for s in steps_of(program, "assert f() == 1") if s.event == "exception"]
    assert told == [("g", 3), ("g", 6)]


def test_exceptions_that_come_out_of_threads_are_told_each_time():
    program = "from concurrent.futures import ThreadPoolExecutor\ndef g():\n    return [][1]\ndef f():\n    for i in range(3):\n        try:\n            with ThreadPoolExecutor() as p:\n                p.submit(g).result()\n        except IndexError:\n            pass"
    told = [(s.function, s.line) for s in steps_of(program, "assert f() == 1") if s.event == "exception"]
    assert told == [("f", 8)] * 3


def test_the_end_of_an_asynchronous_loop_is_no_exception():
    program = "import asyncio\nasync def g():\n    yield 1\nasync def h():\n    async for x in g():\n        y = x\n    return [z async for z in g()]\ndef f():\n    return asyncio.run(h())"
    assert "exception" not in {s.event for s in steps_of(program, "assert f() == [1]")}


def test_that_the_tracer_stops_a_program_is_no_exception_of_its():
    loop = "def f(n):\n    t = 0\n    for i in iter(int, 1):\n        if t >= n:\n            t = 0\n        t += 1\n    return t"
    for steps in range(1000, 1006):
        trace = trace_in_process(loop, "assert f(3) == 1", max_steps=steps)
        assert trace.outcome == "timeout" and not any(step.event == "exception" for step in trace.steps)


@pytest.mark.parametrize("line", ["E()", "10 ** 5000", "-1", "True"])
def test_a_syntax_error_of_the_programs_own_making_runs_nothing(line):
    program = f"class E:\n    def __format__(self, _):\n        print('run')\n    __bool__ = __str__ = __format__\ndef f():\n    e = SyntaxError('x')\n    e.lineno = {line}\n    raise e"
    found = trace_in_process(program, "assert f() == 1")
    assert (found.outcome, found.exception[:11], found.stdout) == ("error", "SyntaxError", "")
