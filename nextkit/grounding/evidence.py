"""Evidence: a trace, asked one thing at a time.

Each question is answered by (holds, step): whether it is so, None where the trace does not show it, and the index of
the Step that bears it out or contradicts it, or None. Literals are compared as Python compares values.
"""

import ast
import bisect
import builtins
import functools
import itertools
import warnings

from nextkit.asserts import parse_test

UNREADABLE, MISSING = object(), object()


@functools.lru_cache(maxsize=10_000)
def read(text):
    """The value of a literal, not to be changed; UNREADABLE where the text is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd escapes in what somebody wrote
        try:
            return ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return UNREADABLE


def same(said, literal):
    """Whether two literals mean the same; None where the trace shows a part of its value only."""
    one, other = read(said), read(literal)
    if UNREADABLE not in (one, other):
        equal = one == other and isinstance(one, bool) == isinstance(other, bool)
    else:
        equal = "".join(said.split()) == "".join(literal.split())
    if equal or "..." not in said + literal:
        return equal
    head, _, tail = said.partition("...")
    if "..." in said and literal.startswith(head) and literal.endswith(tail):
        return True
    return None if "..." in literal else False


def result(said, trace):
    """Did the test see that value, or the tested function return it?"""
    returned = [step for step in trace.steps if step.event == "return" and step.depth == 1]
    last = (returned or trace.steps or [None])[-1]
    for step in reversed(returned):
        if same(said, step.value):
            return True, step.index
    holds = same(said, trace.got) if trace.outcome == "failed" else False
    return holds, last.index if last else None


def expected(said, trace):
    """Does the test ask for that value? What an assertion asks that the run did not end at is undecided."""
    if trace.outcome == "failed" and trace.expected:
        holds = same(said, trace.expected)
        return (None if holds is False and _is_asked_elsewhere(said, trace.test) else holds), None
    try:
        parsed = parse_test(trace.test)
    except ValueError:
        return None, None
    return (same(said, repr(parsed.expected)) if parsed.form == "call" else None), None


def _is_asked_elsewhere(said, test):
    """Whether one of several assertions asks for that value."""
    asked = [node.test for node in nodes_of(test) if isinstance(node, ast.Assert)]
    asked = [node for node in asked if isinstance(node, ast.Compare)] if len(asked) > 1 else []
    return any(same(said, ast.unparse(node.comparators[-1])) is not False for node in asked)


def raised(name, trace):
    """Was an exception of that type raised, caught or not? A test that fails raises AssertionError."""
    if name == "AssertionError" and trace.outcome == "failed":
        return True, None
    steps = [step for step in trace.steps if step.event == "exception"]
    for step in steps:
        if _is_a(_type_of(step.value), name):
            return True, step.index
    if _is_a(_type_of(trace.exception), name):
        return True, None
    last = (steps or trace.steps or [None])[-1]
    return (None if trace.truncated else False), last.index if last else None


def _is_a(name, other):
    """Whether an exception is of a type or, of Python's own, of a kind of it."""
    one, base = (getattr(builtins, each, None) for each in (name, other))
    return name == other or (isinstance(one, type) and isinstance(base, type) and issubclass(one, base))


def _type_of(exception):
    return exception.split(":")[0].split(".")[-1].strip()


def changed(index, path, said, trace):
    """A state quoted in the trace's own style: did this step change the variable to that?"""
    place = bisect.bisect_left(trace.steps, index, key=lambda step: step.index)
    if place == len(trace.steps) or trace.steps[place].index != index:
        return (None if trace.truncated else False), None
    step = trace.steps[place]
    if path == "return":
        return (same(said, step.value) if step.event == "return" else False), index
    changes = dict(step.changes)
    return (same(said, changes[path]) if path in changes else False), index


def has_value(index, path, said, trace):
    """Has the variable that value, right after that step or (index None) ever?"""
    values = list(history(trace, path, index))
    if index is not None:
        values = values[-1:]
    answers = [(None if literal is None else same(said, literal), step) for step, literal in values]
    for holds, step in answers:
        if holds:
            return True, step if index is None else index
    since = values[-1][0] if values and index is not None else -1
    later = [step for step in trace.steps if since < step.index and (index is None or step.index <= index)]
    partly = any(name.startswith((path + "[", path + ".")) for step in later for name, _ in step.changes)
    cut = trace.truncated and not (answers and answers[-1][1] == index)
    unsure = not answers or partly or cut or any(holds is None for holds, _ in answers)  # also of a whole not read
    return (None, None) if unsure else (False, answers[-1][1] if index is None else index)


def history(trace, path, until=None):
    """(step index, literal) of each value that a path takes; with `until`, in that step's frame and up to it.

    The literal is None where a step tells only a whole that the path is a part of, and the part cannot be read off it.
    """
    steps = trace.steps if until is None else _frame(trace, until)
    for step in steps:
        for name, literal in step.changes:
            if name == path:
                yield step.index, literal
            elif path.startswith((name + "[", name + ".")):
                inner = _part(literal, path[len(name) :])
                if inner is not MISSING:
                    yield step.index, inner


def _frame(trace, until):
    """The steps of one call up to a step of it."""
    before = [step for step in trace.steps if step.index <= until]
    if not before or before[-1].index != until:
        return []
    return [step for step in before if step.frame == before[-1].frame]


def _part(literal, rest):
    """The literal that a path such as `[2]` or `.v` leads to; MISSING where there is none, None where it is not shown."""
    if rest.startswith("."):
        return _attribute(literal, rest[1:])
    value, key = read(literal), read(rest)  # a subscript such as [3] reads as a list of its one key
    try:
        (key,) = key
        if isinstance(value, list | tuple) and Ellipsis in value and not 0 <= key < value.index(Ellipsis):
            return None  # the middle of a long value is not shown
        return repr(value[key]).replace("Ellipsis", "...")  # a part may be shortened too
    except LookupError:
        return MISSING
    except (TypeError, ValueError):
        return None


def _attribute(literal, name):
    """The same of an attribute: objects are written as calls with keywords, such as A(v=0)."""
    tree = nodes_of(literal)
    call = tree[1].value if len(tree) > 1 and isinstance(tree[1], ast.Expr) else None
    if not isinstance(call, ast.Call) or call.args or not name.isidentifier():
        return None
    found = [ast.unparse(keyword.value) for keyword in call.keywords if keyword.arg == name]
    return found[0] if found else MISSING


def ran(line, times, trace):
    """Did a line run so many times? The head of a loop runs once more, when it finds that there is no more."""
    line += len(trace.program) - len(trace.program.lstrip("\n"))  # the lines as they are shown
    nodes = [node for node in nodes_of(trace.program) if isinstance(node, ast.stmt) and node.lineno == line]
    if not nodes or isinstance(nodes[0], ast.FunctionDef | ast.ClassDef):
        return None, None
    spare = isinstance(nodes[0], ast.For | ast.While) and times > 0
    return _counted(nodes[0], times, spare, trace)


def looped(kind, times, trace):
    """Did the one loop that there is (of its kind) run so many times?"""
    kinds = {"for": ast.For, "while": ast.While}.get(kind, ast.For | ast.While)
    loops = [node for node in nodes_of(trace.program) if isinstance(node, kinds)]
    calls = [step.function for step in trace.steps if step.event == "call"]
    if len(loops) != 1 or len(calls) != len(set(calls)):
        return None, None
    body = loops[0].body[0]
    if body.lineno == loops[0].lineno or isinstance(body, ast.For | ast.While | ast.FunctionDef | ast.ClassDef):
        return None, None
    return _counted(body, times, False, trace)


def _counted(node, times, spare, trace):
    """Was a statement entered so many times, or with `spare` once more?"""
    steps = [step for step in trace.steps if step.line == node.lineno and step.event != "call"]
    entries = _entries(node, steps, trace)
    if entries is None and not (steps and times == 0):
        return None, None
    count = len(steps if entries is None else entries)
    if trace.truncated and count <= times:
        return None, None
    return count - times in (0, int(spare)), steps[-1].index if steps else None


def _entries(node, steps, trace):
    """Those of a statement's steps that enter it, or None where others cannot be told from them.

    A generator that goes on takes another step on the line where it rested, and a `with` one when it is left.
    """
    waits = any(isinstance(part, ast.Await | ast.AsyncFor | ast.AsyncWith) for part in ast.walk(node))
    if steps and (waits or isinstance(node, ast.With | ast.AsyncWith) or len({step.function for step in steps}) > 1):
        return None
    if all(step.event != "yield" for step in steps):
        return steps
    frame = [step for step in trace.steps if step.function == steps[0].function]
    if trace.truncated or [step.event for step in frame].count("call") != 1:
        return None
    resumed = {step.index for before, step in itertools.pairwise(frame) if before.event == "yield"}
    return [step for step in steps if step.index not in resumed]


@functools.lru_cache(maxsize=1000)
def nodes_of(source):
    """All nodes of a source's syntax tree, not to be changed; none where it is no Python."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd escapes in what somebody wrote
        try:
            return list(ast.walk(ast.parse(source)))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return []
