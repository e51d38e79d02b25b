"""The tracer: runs a program on one test and writes down every step, inside the process that runs the program.

Standard library only, because it runs in the sandbox's child. Each executed line of the program's functions is a
step: which variables it changed, whether it returned or raised. Values are kept as Python literals of limited length;
nothing of the program's own (`__eq__`, `__repr__`) is called to find them. See `nextkit.tracing` for the records.
"""

import ast
import contextlib
import inspect
import io
import sys
import time

PROGRAM, TEST = "<program>", "<test>"
ATOMS = (int, float, bool, str, bytes, complex, type(None))
BRACKETS = {list: "[]", tuple: "()", set: "{}", frozenset: "{}", dict: "{}"}
HIDDEN_TYPES = (type(ast), type(lambda: 0), type(len), type)


class _Stop(BaseException):
    """Ends a program that reached a limit; not an Exception, so that `except Exception` lets it pass."""


def run_traced(program, test, *, setup="", max_steps=1000, timeout=2.0, max_value=200, max_bytes=1_000_000):
    """Run `program` on `test` under sys.settrace; returns a dict that JSON can hold, with the fields of Trace.

    max_steps: executed lines. timeout: seconds, seen between lines only. max_value: characters a value.
    max_bytes: characters of all values together. What a limit cut off is named in "truncated".
    """
    recorder = _Recorder(max_steps, timeout, max_value, max_bytes)
    output = io.StringIO()
    result = dict(outcome="error", got="", expected="", exception="")
    with contextlib.redirect_stdout(output):
        try:
            namespace = {"__name__": "__main__"}
            exec(compile(setup, "<setup>", "exec"), namespace)
            exec(compile(program, PROGRAM, "exec"), namespace)
            result |= _run_test(test, namespace, recorder)
        except _Stop:
            result["outcome"] = "timeout"
        except BaseException as error:
            result["exception"] = describe_exception(error, max_value)
        finally:
            sys.settrace(None)
    steps = [tuple(step) for step in recorder.steps]
    return result | dict(steps=steps, truncated=tuple(recorder.truncated), stdout=output.getvalue()[:max_bytes])


def literal(value, limit=200):
    """A value as a Python literal of about `limit` characters at most; never runs code of the value's own."""
    kind = type(value)
    if kind in ATOMS:
        return _atom(value, kind, limit)
    if kind in BRACKETS:
        return _container(value, kind, limit)
    if kind.__module__ in ("__main__", "builtins") and hasattr(value, "__dict__"):
        fields = ", ".join(f"{name}={literal(v, limit // 2)}" for name, v in list(vars(value).items())[:8])
        return _cut(f"{kind.__name__}({fields})", limit)
    if kind.__module__ == "__main__" or limit < 4:
        return f"<{kind.__name__}>"
    try:
        return _cut(repr(value), limit)
    except Exception:
        return f"<{kind.__name__}>"


def describe_exception(error, limit=200):
    """`Type: message`, or the type alone where there is no message."""
    try:
        message = str(error)
    except Exception:
        message = ""
    return _cut(f"{type(error).__name__}: {message}" if message else type(error).__name__, limit)


def _atom(value, kind, limit):
    if kind in (str, bytes) and len(value) > limit:
        return repr(value[: limit * 2 // 3]) + "..."
    try:
        return _cut(repr(value), limit)
    except ValueError:  # Python refuses to write integers of thousands of digits
        return f"<int of {value.bit_length()} bits>"


def _container(value, kind, limit):
    opening, closing = BRACKETS[kind]
    pieces, left = [], limit
    for item in value.items() if kind is dict else value:
        if left <= 0:
            pieces.append("...")
            break
        shown = f"{literal(item[0], left)}: {literal(item[1], left)}" if kind is dict else literal(item, left)
        pieces.append(shown)
        left -= len(shown) + 2
    inner = ", ".join(pieces)
    if kind is tuple and len(value) == 1:
        inner += ","
    if kind is frozenset or (kind is set and not value):
        return f"{kind.__name__}({f'{{{inner}}}' if value else ''})"
    return opening + inner + closing


def _huge(value):
    """Whether a value has grown so far that a few more steps could fill the memory."""
    kind = type(value)
    if kind is int:
        return value.bit_length() > 1_000_000
    return (kind is str or kind in BRACKETS) and len(value) > 10_000_000


def _cut(text, limit):
    return text if len(text) <= limit else text[: max(1, limit - 3)] + "..."


def _run_test(test, namespace, recorder):
    """Run the statements of the test; the last assertion tells what came out and what was expected."""
    body = ast.parse(test).body
    checked = body.pop() if body and isinstance(body[-1], ast.Assert) else None
    with recorder:
        exec(compile(ast.Module(body, []), TEST, "exec"), namespace)
    if checked is None:
        return dict(outcome="passed")
    compared = checked.test if isinstance(checked.test, ast.Compare) else None
    equality = compared is not None and len(compared.ops) == 1 and isinstance(compared.ops[0], ast.Eq)
    with recorder:
        value = _evaluate(compared.left if equality else checked.test, namespace)
    limit = recorder.max_value
    if not equality:
        return dict(outcome="passed" if value else "failed", got=literal(value, limit), expected="True")
    expected = _evaluate(compared.comparators[0], namespace)
    outcome = "passed" if value == expected else "failed"
    return dict(outcome=outcome, got=literal(value, limit), expected=literal(expected, limit))


def _evaluate(node, namespace):
    return eval(compile(ast.Expression(node), TEST, "eval"), namespace)


class _Recorder:
    """The trace function and what it has seen: steps [index, line, function, depth, changes, event, value]."""

    def __init__(self, max_steps, timeout, max_value, max_bytes):
        self.max_steps, self.max_value, self.bytes_left = max_steps, max_value, max_bytes
        self.deadline = time.monotonic() + timeout
        self.steps, self.truncated, self.frames, self.depth, self.raised = [], [], {}, 0, None

    def __enter__(self):
        sys.settrace(self.enter)

    def __exit__(self, *_):
        sys.settrace(None)

    def enter(self, frame, event, _):
        """Called for every new frame: the program's functions are followed, comprehensions and lambdas are not."""
        code = frame.f_code
        if code.co_filename != PROGRAM or code.co_name.startswith("<"):
            return None
        self.depth += 1
        if frame not in self.frames:  # a generator that goes on is an old frame
            self.frames[frame] = _Frame()
            self.step(frame, code.co_firstlineno, "call")
            self.flush(frame)
        return self.follow

    def follow(self, frame, event, argument):
        seen = self.frames[frame]
        if event == "line":
            self.flush(frame)
            seen.raising = False
            self.step(frame, frame.f_lineno, "line")
        elif event == "exception" and argument[0] not in (StopIteration, GeneratorExit, _Stop):
            self.flush(frame)
            seen.raising = True
            if argument[1] is not self.raised:  # where it was raised, not every frame that it passes
                self.raised = argument[1]
                seen.step[5:] = "exception", describe_exception(argument[1], self.max_value)
        elif event == "return":
            self.leave(frame, seen, argument)
        return self.follow

    def step(self, frame, line, event):
        index = len(self.steps)
        if index >= self.max_steps:
            self.stop("steps")
        if index % 64 == 63 and time.monotonic() > self.deadline:
            self.stop("seconds")
        step = [index, line, frame.f_code.co_name, self.depth, (), event, ""]
        self.steps.append(step)
        self.frames[frame].step = step

    def stop(self, limit):
        """End the program, which reached a limit; a program that catches this is stopped again at its next line."""
        if limit not in self.truncated:
            self.truncated.append(limit)
        raise _Stop

    def flush(self, frame):
        """Write the variables that changed since the last look into the step that changed them."""
        seen, changes = self.frames[frame], []
        for name, value in frame.f_locals.items():
            old = seen.known.get(name)
            if _huge(value):
                self.stop("values")
            if isinstance(value, HIDDEN_TYPES) or (old and old[0] is value and type(value) in ATOMS):
                continue
            text = literal(value, self.max_value) if self.bytes_left > 0 else "..."
            if old is None or old[1] != text:
                changes.append((name, text))
                self.bytes_left -= len(text)
            seen.known[name] = value, text
        seen.step[4] += tuple(changes)
        if self.bytes_left <= 0 and "values" not in self.truncated:
            self.truncated.append("values")

    def leave(self, frame, seen, value):
        self.flush(frame)
        self.depth -= 1
        if not seen.raising:
            seen.step[5:] = "return", literal(value, self.max_value)
        if not frame.f_code.co_flags & inspect.CO_GENERATOR:  # generators come back
            del self.frames[frame]


class _Frame:
    """What is known of a running frame: its variables as (value, literal), its current step, whether it is raising."""

    __slots__ = ("known", "raising", "step")

    def __init__(self):
        self.known, self.raising, self.step = {}, False, None
