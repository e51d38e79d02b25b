"""Tracing, held against references: a plain run that nobody watches, and a slow tracer that looks at everything."""

import contextlib
import io
import random
import sys

from hypothesis import given, settings
from hypothesis import strategies as st

from nextkit.offline.corpus import draw_task
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
