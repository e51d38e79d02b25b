"""Tracing: whatever a program does, a useful trace comes back, inside the caps, and says what was cut."""

import pytest

from nextkit.sandbox import Sandbox
from nextkit.tasks import RepairTask
from nextkit.tracer import Traced, literal
from nextkit.tracing import trace, trace_in_process

ENDLESS = "def f(n):\n    while True:\n        n += 1"
DEEP = "import sys\nsys.setrecursionlimit(30000)\ndef f(n):\n    return 0 if n == 0 else 1 + f(n - 1)"
FOREVER = "def f(n):\n    return f(n + 1)"
MILLION = "def f(n):\n    a = list(range(10 ** 6))\n    for i in range(20):\n        a[i] = -1\n        a.append(i)\n    return len(a)"
TABLE = "def f(n):\n    t = []\n    for i in range(n):\n        t.append([])\n        for j in range(n):\n            t[i].append(i * j)\n    return len(t)"


@pytest.fixture(scope="module")
def box():
    with Sandbox() as shared:
        yield shared


def traced(program, box, call="f(3)", **limits):
    return trace(RepairTask("t/1", "?", program, (f"assert {call} == 0",)), sandbox=box, **limits)


def test_an_endless_loop_is_stopped_and_both_its_ends_are_kept():
    found = trace_in_process(ENDLESS, "assert f(0) == 0", max_steps=5000, keep=100)
    assert (found.outcome, found.executed, found.truncated) == ("timeout", 5000, ("steps", "middle"))
    assert found.steps[99].index == 99 and found.steps[-1].index == 4999 and len(found.steps) < 200


def test_a_long_run_that_ends_keeps_its_result_and_the_last_state_of_each_line():
    program = "def f(n):\n    first = n\n    for i in range(n):\n        last = i\n    return last"
    found = trace_in_process(program, "assert f(3000) == 0", keep=50)
    assert (found.outcome, found.got, found.truncated) == ("failed", "2999", ("middle",))
    assert [s.changes for s in found.steps if s.line == 4][-1] == (("last", "2999"),)


def test_a_recursion_of_ten_thousand_levels_is_followed():
    found = trace_in_process(DEEP, "assert f(10_000) == 1", max_steps=50_000)
    assert (found.outcome, found.got) == ("failed", "10000") and max(s.depth for s in found.steps) == 10_001


def test_a_recursion_without_end_is_a_recursion_error():
    found = trace_in_process(FOREVER, "assert f(0) == 1")
    assert (found.outcome, found.exception) == ("error", "RecursionError: maximum recursion depth exceeded")
    assert 900 < max(step.depth for step in found.steps) < 1000


def test_a_program_may_recurse_as_deep_as_without_tracing():
    assert trace_in_process(DEEP[DEEP.index("def") :], "assert f(950) == 950").outcome == "passed"


def test_a_list_of_a_million_elements_is_told_by_the_elements_that_change():
    found = trace_in_process(MILLION, "assert f(3) == 0", timeout=30)
    paths = [path for step in found.steps for path, _ in step.changes]
    assert (found.got, found.truncated) == ("1000020", ())
    assert "a[0]" in paths and "a[19]" in paths and "a[1000019]" in paths


def test_a_growing_table_costs_no_more_at_its_end_than_at_its_beginning():
    found = trace_in_process(TABLE, "assert f(120) == 0", max_steps=10**6, timeout=60)
    assert found.got == "120" and ("t[119][119]", "14161") in [c for step in found.steps for c in step.changes]


@pytest.mark.parametrize(
    "body", ["raise ValueError", "return 'x' * 10 ** 7", "while True: pass", "print('side effect')"]
)
def test_a_repr_of_the_programs_own_is_never_called(body):
    program = f"class A:\n    def __repr__(self):\n        {body}\n    __str__ = __eq__ = __hash__ = __repr__\ndef f():\n    a = [A()]\n    return a"
    found = trace_in_process(program, "assert f() is None")
    assert (found.outcome, found.got, found.stdout) == ("failed", "[A()]", "")


def test_attributes_are_read_without_running_the_programs_code():
    program = "class A:\n    def __getattr__(self, name):\n        print(name)\n    __getattribute__ = __getattr__\n    @property\n    def __class__(self):\n        print('class')\ndef f():\n    a = A()\n    return 1"
    assert trace_in_process(program, "assert f() == 1").stdout == ""


def test_a_metaclass_that_refuses_everything_is_not_asked():
    meta = "class M(type):\n    def __getattribute__(cls, name):\n        raise RuntimeError(name)"
    program = f"{meta}\nclass K(metaclass=M):\n    pass\ndef f():\n    k = [K()]\n    return 1"
    found = trace_in_process(program, "assert f() == 1")
    assert (found.outcome, [dict(s.changes) for s in found.steps if s.function == "f"][1]) == ("passed", {"k": "[K()]"})


def test_a_text_that_grows_is_cut_and_fills_no_memory():
    program = "def f():\n    s = 'x' * 10 ** 6\n    for i in range(50):\n        s += 'y' * 10 ** 5\n    return len(s)"
    assert all(len(value) < 250 for s in trace_in_process(program, "assert f() == 1").steps for _, value in s.changes)


def test_the_bytes_of_a_trace_are_capped_by_shortening_every_value():
    program = "def f():\n    for i in range(300):\n        s = 'abc' * 60 + str(i)\n    return s"
    found = trace_in_process(program, "assert f() == 1", max_bytes=20_000)
    assert "bytes" in found.truncated and sum(len(v) for s in found.steps for _, v in s.changes) < 20_000


def test_memory_that_runs_out_is_an_error_and_the_process_stays_in_its_limit(box):
    found = traced("def f(n):\n    a = []\n    while True:\n        a.append(bytearray(10 ** 7))", box, timeout=60)
    assert (found.outcome, found.exception) == ("error", "MemoryError") and "memory" in found.truncated
    assert 2 * 40 < found.executed < 2 * 55  # two steps for every 10 MB of the 512 that the sandbox gives


def test_a_sleeping_program_is_woken_at_the_timeout(box):
    found = traced("def f(n):\n    m = n\n    import time\n    time.sleep(60)", box, timeout=0.3)
    assert (found.outcome, found.truncated, len(found.steps)) == ("timeout", ("seconds",), 4)


def test_one_line_that_never_ends_gives_the_steps_before_it(box):
    found = traced("def f(n):\n    m = n\n    return sum(range(10 ** 12))", box, timeout=0.3)
    assert (found.outcome, found.truncated) == ("timeout", ("seconds",))
    assert found.steps[-1].changes == (("m", "3"),)


def test_a_process_that_ends_itself_gives_the_steps_before(box):
    found = traced("import os\ndef f(n):\n    m = n\n    os._exit(0)", box)
    assert (found.outcome, found.truncated) == ("error", ("killed",)) and found.steps[-1].changes == (("m", "3"),)


def test_a_program_that_catches_everything_is_stopped_all_the_same(box):
    program = (
        "def f(n):\n    while True:\n        try:\n            n += 1\n        except BaseException:\n            pass"
    )
    assert traced(program, box, timeout=0.5).outcome == "timeout"


NODE = "class Node:\n    def __init__(self, value, next=None):\n        self.value = value\n        self.next = next\n"
WEB = "class Node:\n    def __init__(self, v):\n        self.v = v\n        self.near = KIND()\ndef f(n):\n    ns = [Node(i) for i in range(n)]\n    for a in ns:\n        for b in ns:\n            if a is not b:\n                ADD\n    return n"


def test_a_stack_of_linked_objects_is_followed_to_its_end():
    program = f"{NODE}def f(n):\n    top = None\n    for i in range(n):\n        top = Node(i, top)\n    return n"
    found = trace_in_process(program, "assert f(200) == 200", timeout=60)
    assert found.outcome == "passed" and all(len(value) < 250 for s in found.steps for _, value in s.changes)


@pytest.mark.parametrize("pair", [lambda x, i: (x, i), lambda x, i: (i, x), lambda x, i: {"a": [x], "b": (x, i)}])
def test_nested_values_are_written_short_however_deep_they_are(pair):
    nested = ()
    for i in range(200):
        nested = pair(nested, i)
    assert len(literal(nested)) < 500


def test_a_part_that_has_no_room_is_written_by_its_kind():
    assert literal([[[1] * 30, (2,)]] * 30, 12) == "[[...], ..., [...]]"


@pytest.mark.parametrize(
    ("kind", "add"), [("list", "a.near.append(b)"), ("dict", "a.near[b] = 1"), ("set", "a.near.add(b)")]
)
def test_objects_that_all_lead_to_each_other_are_followed_to_the_end(kind, add):
    program = WEB.replace("KIND", kind).replace("ADD", add)
    assert trace_in_process(program, "assert f(8) == 8", timeout=60).outcome == "passed"


@pytest.mark.parametrize("line", ["x = [x, x]", "x = (x, [x])", "x = {'a': x, 'b': x}", "x = ValueError(x, x)"])
def test_a_value_that_many_paths_lead_to_is_looked_at_once(line):
    program = f"def f(n):\n    x = y = [1]\n    for i in range(n):\n        {line}\n    y.append(2)\n    y[0] = 5\n    return n"
    assert trace_in_process(program, "assert f(40) == 40", timeout=60).outcome == "passed"


MANY_CALLS = "def g(k):\n    return k + 1\ndef f(n):\n    x = 0\n    for i in range(n):\n        x = g(x)\n    return x"


def test_a_long_run_of_many_calls_keeps_no_more_than_is_told_of_it():
    traced = Traced(MANY_CALLS, "assert f(3000) == 3000", "")
    found = traced.record(max_steps=10**6, keep=50, timeout=60, max_value=200, max_bytes=10**6)
    assert (found["outcome"], found["executed"]) == ("passed", 12_004)
    assert max(len(column) for column in found["steps"].values()) < 120


def test_a_hang_after_many_calls_is_told_up_to_its_line(sandbox):
    program = MANY_CALLS.replace("return x", "return -1 in itertools.count()").replace(
        "def g", "import itertools\ndef g", 1
    )
    program = program.replace("return k + 1", "s = str(k) * 40\n    return k + 1")
    arguments = dict(program=program, test="assert f(150) == 150", setup="", timeout=0.5)
    found = sandbox.trace(**arguments)
    assert (found["outcome"], len(found["steps"]), found["steps"][-1][1]) == ("timeout", 753, 7)


def test_of_recursive_calls_past_what_is_kept_the_last_to_end_is_told():
    program = "def f(n):\n    if n == 0:\n        return 0\n    return 1 + f(n - 1)"
    found = trace_in_process(program, "assert f(90) == 90", keep=10)
    late = [step for step in found.steps if step.event == "return" and step.line == 4 and step.index >= 10]
    assert late[0].value == "87"
