"""Tracing, held against references: a plain run that nobody watches, and a slow tracer that looks at everything."""

import contextlib
import io
import random
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nextkit.offline.repairs import draw_task
from nextkit.tracer import PROGRAM, describe_exception, literal
from nextkit.tracing import trace_in_process

STATEMENTS = """\
x = 3
x += 1
y = x * 2
x, y = y, x
x = True
x = 1.0
s += 'z'
t = (x, a)
t = len
t = a
d = dict(d)
a.append(x)
a += [1]
a = a + [y]
b = a
b.append(7)
a[0] = y
a[-1] += 1
a[:] = [x]
a.sort(key=str)
a.reverse()
del a[0]
b.pop()
m[0][0] = x
m.append([x])
m[-1] = a
m = [a, a]
row = m[0]
row.append(0)
d[x] = y
d.setdefault('k', []).append(x)
d.pop('k', None)
p = {1, x}
p.add(len(a))
q = [v + 1 for v in a]
x = sum(1 for v in a)
if (n := len(a)) > 1: y = n
while y < 3: y += 1
print(x, a)
y = a[9]
y = d['none']
assert x
helper(a, x)
y = deep(m)
o.v = x
o.items.append(y)
o.grow()
o = Thing(x)
x = next(numbers(2))
g = numbers(x)
y = sum(g)
a.extend(map(int, a[:1]))
return x""".splitlines()
HEADERS = [
    "for v in range(2):",
    "for x in a[:3]:",
    "if x > y:",
    "try:",
    "with quiet():",
    "while len(log) < 4:",
    "if a:",
]
PRELUDE = """\
import contextlib
total = 0
log = []
class Thing:
    def __init__(self, v):
        self.v = v
        self.items = []
    def grow(self):
        self.v += 1
        return self
def helper(values, k):
    global total
    total += 1
    log.append(k)
    values.append(k)
def deep(table):
    table[0].append(5)
    return len(table)
def numbers(k):
    for j in range(3):
        yield j + k
@contextlib.contextmanager
def quiet():
    try:
        yield 1
    except KeyError:
        pass
def f(x, y):
    a, b, d, s, m, p, o = [2, 1], [], {}, 'a', [[0], [1]], set(), Thing(0)
"""


@st.composite
def programs(draw):
    """A program with helpers, classes and generators, whose function f(x, y) is made of random statements."""
    return PRELUDE + "\n".join(draw(blocks(1))) + "\n    return x, y, a, b, d, s, m, p, o.v, o.items, total, log"


@st.composite
def blocks(draw, depth):
    indent, lines = "    " * depth, []
    for _ in range(draw(st.integers(1, 5 if depth == 1 else 3))):
        header = draw(st.sampled_from(HEADERS)) if depth < 4 and draw(st.integers(0, 3)) == 0 else None
        if header is None:
            lines.append(indent + draw(st.sampled_from(STATEMENTS)))
            continue
        lines += [indent + header, *draw(blocks(depth + 1))]
        if header == "while len(log) < 4:":
            lines.append(indent + "    log.append(0)")
        if header == "try:":
            lines += [indent + "except (IndexError, KeyError) as error:", *draw(blocks(depth + 1))]
            lines += [indent + "finally:", *draw(blocks(depth + 1))] if draw(st.booleans()) else []
    return lines


def run_plainly(program, call):
    """(literal of the value or None, exception in words, output) of a call that nobody watches."""
    output, namespace = io.StringIO(), {"__name__": "__main__"}
    with contextlib.redirect_stdout(output):
        try:
            exec(compile(program, PROGRAM, "exec"), namespace)
            return literal(eval(call, namespace)), "", output.getvalue()
        except Exception as error:
            return None, describe_exception(error), output.getvalue()


def same_as_plain(program, test):
    """Whether the trace says what the plain run says, for a test `assert call == value`."""
    call = test.removeprefix("assert ").rpartition(" == ")[0]
    value, exception, output = run_plainly(program, call)
    found = trace_in_process(program, f"assert {call} == object")  # never equal, so that `got` is told
    assert (found.exception, found.stdout) == (exception, output)
    if not exception:
        assert found.got == value


@settings(max_examples=150, deadline=None)
@given(programs(), st.integers(0, 3), st.integers(0, 3))
def test_tracing_never_changes_what_a_program_does(program, x, y):
    same_as_plain(program, f"assert f({x}, {y}) == 0")


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**6))
def test_tracing_never_changes_what_a_task_of_the_offline_world_does(seed):
    if task := draw_task(random.Random(seed)):
        for test in task.tests:
            if trace_in_process(task.buggy, test).outcome != "timeout":
                same_as_plain(task.buggy, test)


def watch_everything(program, call):
    """Per frame that returns from f, the literals of all variables at each event, by a tracer that spares nothing."""
    states = []

    def follow(frame, event, _):
        names = frame.f_locals if event != "call" else {}
        states.append((event, {name: literal(value, 10_000) for name, value in names.items()}))
        return follow

    def enter(frame, event, argument):
        if frame.f_code.co_filename == PROGRAM and frame.f_code.co_name == "f":
            return follow(frame, "call", argument)
        return None

    namespace = {"__name__": "__main__"}
    exec(compile(program, PROGRAM, "exec"), namespace)
    sys.settrace(enter)
    with contextlib.suppress(Exception), contextlib.redirect_stdout(io.StringIO()):
        eval(call, namespace)
    sys.settrace(None)
    return states[-1][1]


def last_state(program, call):
    """name -> literal of what f's variables held when it ended, put together from the changes of the trace."""
    state = {}
    for step in trace_in_process(program, f"assert {call} == object", max_value=10_000).steps:
        if step.function == "f":
            for path, value in step.changes:
                state[path] = value
    return state


@settings(max_examples=200, deadline=None)
@given(programs(), st.integers(0, 3), st.integers(0, 3))
def test_the_changes_add_up_to_what_a_tracer_that_looks_at_everything_sees(program, x, y):
    expected, found = watch_everything(program, f"f({x}, {y})"), last_state(program, f"f({x}, {y})")
    for name, value in expected.items():
        if name in found and len(value) <= 40 and "Thing(" not in value:  # longer values may be told by element
            assert found[name] == value, name
        elif "<" not in value and "Thing(" not in value and len(value) <= 40:
            assert name in found, name


def changes_of(body, before=""):
    """Line of the body -> what it changed, for a function f of these lines."""
    program = f"{before}\ndef f():\n" + "\n".join(f"    {line}" for line in body)
    first = program[: program.index("def f():")].count("\n") + 2
    steps = trace_in_process(program, "assert f() == object").steps
    return {step.line - first: dict(step.changes) for step in steps if step.function == "f" and step.changes}


def test_a_list_that_stands_at_two_places_is_told_at_both_when_it_changes():
    found = changes_of(["row = list(range(30))", "m = [row, [row], row]", "row[3] = 'x'"])
    assert found[2] == {"row[3]": "'x'", "m[0][3]": "'x'", "m[1][0][3]": "'x'", "m[2][3]": "'x'"}


def test_a_list_that_several_lists_share_is_told_at_each_when_it_changes_through_one():
    found = changes_of(["row = list(range(70))", "m = [[row], [row]]", "m[0][0][3] = 'x'"])
    assert found[2] == {"row[3]": "'x'", "m[0][0][3]": "'x'", "m[1][0][3]": "'x'"}


def test_a_change_far_inside_a_structure_of_shared_lists_is_seen():
    found = changes_of(["y = [1]", "x = y", "for i in range(20): x = [x, x]", "y[0] = 5"])
    assert found[3]["y"] == "[5]" and any(path.startswith("x[0][0]") for path in found[3])


def test_a_change_in_a_web_of_objects_is_seen():
    web = (
        "ns = [N(i) for i in range(7)]",
        "for n in ns: n.near = [m for m in ns if m is not n]",
        "del n",
        "ns[4].v = 99",
    )
    found = changes_of(web, "class N:\n    def __init__(self, v):\n        self.v = v\n        self.near = []")
    assert list(found[3]) == ["ns"]


def test_the_order_of_an_ordered_dict_is_shown_and_its_change_seen():
    before = "from collections import OrderedDict\nclass Cache(OrderedDict):\n    pass"
    found = changes_of(
        ["d = OrderedDict(a=1, b=2)", "d.move_to_end('a')", "c = Cache(d)", "c.move_to_end('b')"], before
    )
    assert found[1] == {"d": "OrderedDict({'b': 2, 'a': 1})"} and found[3] == {"c": "Cache({'a': 1, 'b': 2})"}


def test_an_ordered_dict_is_looked_at_without_hashing_the_programs_keys():
    key = "class K:\n    def __hash__(self):\n        print('hash')\n        return 1"
    program = (
        f"from collections import OrderedDict\n{key}\nd = OrderedDict()\nd[K()] = 1\ndef f():\n    e = d\n    return e"
    )
    same_as_plain(program, "assert f() == 0")


def test_an_exception_that_contains_itself_is_written():
    found = changes_of(["xs = []", "e = ValueError(xs)", "xs.append(e)", "y = 1"])
    assert found[2]["e"] == "ValueError([ValueError(...)])" and found[3] == {"y": "1"}


def test_the_arguments_of_an_exception_in_an_exception_are_written():
    assert literal([ValueError([1, 2], KeyError("k"))]) == "[ValueError([1, 2], KeyError('k'))]"


def test_numbers_that_python_refuses_to_write_are_told_by_their_size():
    before = "from fractions import Fraction\nclass Big(int):\n    pass"
    found = changes_of(
        ["s = Fraction(1, 3 ** 10000)", "r = range(2 ** 16000)", "b = Big(2 ** 16000)", "s += 1"], before
    )
    assert found[0] == {"s": "<Fraction of 15851 bits>"} and found[1] == {"r": "<range of 16002 bits>"}
    assert found[2] == {"b": "Big(<int of 16001 bits>)"} and found[3] == {"s": "<Fraction of 31700 bits>"}


def test_a_huge_number_in_a_list_is_compared():
    found = changes_of(["xs = [2 ** 16000, *range(15)]", "xs[0] = xs[0] + 1"])
    assert found[1] == {"xs[0]": "<int of 16001 bits>"}


def test_a_change_of_a_numpy_array_beyond_what_is_written_is_seen():
    pytest.importorskip("numpy")
    found = changes_of(
        ["b = np.zeros(500)", "b[100] = 2", "b[100] = 2", "c = [np.zeros((30, 30))]", "c[0][15, 3] = 7"],
        "import numpy as np",
    )
    assert "b" in found[1] and 2 not in found and "c[0]" in found[4]


def test_a_change_of_an_array_of_objects_is_seen():
    pytest.importorskip("numpy")
    found = changes_of(["b = np.array([None] * 500)", "b[400] = 'x'", "y = len(b)"], "import numpy as np")
    assert "b" in found[1] and found[2] == {"y": "500"}


def test_a_library_value_that_cannot_be_written_is_told_by_its_name():
    pytest.importorskip("numpy")
    assert changes_of(["m = np.ma.masked_array(5, mask=True)"], "import numpy as np")[0] == {"m": "<MaskedArray>"}
