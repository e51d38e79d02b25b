"""The tracer: runs a program on one test and writes down every step, inside the process that runs the program.

Standard library only, because it runs in the sandbox's child. `plan` reads off the syntax what a line can change,
`events` tells what happens, `recorder` sees what it changed, `columns` keeps that and writes it down, and `rows` makes
steps of it all. `contents` looks into what variables hold, `values` keeps and writes it, `changes` tells what became of
it. Nothing of the program's own (`__eq__`, `__repr__`, properties) is called for that. See `nextkit.tracing` for the
records.
"""

import contextlib
import io
import signal
import sys
import warnings

from nextkit.tracer.assertions import Assertions, watch_assertions
from nextkit.tracer.events import recording
from nextkit.tracer.plan import make_plan
from nextkit.tracer.recorder import PROGRAM, RESERVE, Recorder, Stop
from nextkit.tracer.rows import NONE, rows
from nextkit.tracer.values import describe_exception, literal

__all__ = ["PROGRAM", "TEST", "describe_exception", "literal", "rows", "run_traced"]
TEST = "<test>"


def run_traced(
    program,
    test,
    *,
    setup="",
    oracle="equal",
    tolerance=0.0,
    max_steps=10_000,
    keep=1000,
    timeout=2.0,
    max_value=200,
    max_bytes=1_000_000,
    alarm=False,
    tell=None,
):
    """Run `program` on `test` and record it; returns a dict that JSON can hold, with the fields of Trace;
    the steps are columns, of which `rows` makes steps.

    oracle, tolerance: how the values of `f(literals) == literal` are compared, see `nextkit.comparing`; by default as
    Python does. max_steps: executed lines after which the program is stopped. keep: first steps that are kept; of later
    ones each line's last, and the end. timeout: seconds; between lines, or anywhere with `alarm` (main thread of a
    process of its own only). max_value: characters a value. max_bytes: characters of all values together. tell: called
    with finished steps while it runs. What a limit cut off is named in "truncated".
    """
    run = Traced(program, test, setup, oracle, tolerance)
    limits = dict(max_steps=max_steps, keep=keep, timeout=timeout, max_value=max_value, max_bytes=max_bytes)
    return run.record(**limits, alarm=alarm, tell=tell)


class Traced:
    """A program and its test, compiled; `record` runs them once."""

    def __init__(self, program, test, setup, oracle="equal", tolerance=0.0):
        self.program, self.setup, self.oracle, self.tolerance = program, setup, oracle, tolerance
        self.plan, self.code, self.test, self.problem = None, None, None, None
        judged = oracle != "equal" or tolerance > 0
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # an invalid escape in a string is the program's own affair
                self.code = compile(program, PROGRAM, "exec", dont_inherit=True)
                self.plan = make_plan(program, self.code)
                self.test = compile(watch_assertions(test, judged), TEST, "exec", dont_inherit=True)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            self.problem = error

    def record(self, *, alarm=False, **limits):
        """Run setup, program and test, and return what happened; see `run_traced`."""
        result = dict(outcome="error", got="", expected="", exception="", test_line=0)
        if self.problem is not None:
            text = describe_exception(self.problem, limits["max_value"])
            return result | dict(exception=text, steps=NONE, executed=0, truncated=(), stdout="")
        output, assertions = Output(), Assertions(limits["max_value"], self.oracle, self.tolerance)
        recorder = Recorder(self.plan, source=self.program, output=output, **limits)
        try:
            with _Surroundings(recorder, output, limits["timeout"] if alarm else 0):
                self._run(recorder, assertions)
            result["outcome"] = "passed"
        except Stop:
            result["outcome"] = "timeout"
        except BaseException as error:
            result |= _failure(error, assertions, limits["max_value"])
            recorder.truncated += ["memory"] if isinstance(error, MemoryError) else []
        rest = dict(steps=recorder.finish(), executed=recorder.count, stdout=output.getvalue()[: limits["max_bytes"]])
        return result | rest | dict(truncated=tuple(recorder.truncated))

    def _run(self, recorder, assertions):
        namespace, switch = {"__name__": "__main__"}, recording(recorder)
        exec(compile(self.setup, "<setup>", "exec", dont_inherit=True), namespace)
        with switch if self.plan.top_level else contextlib.nullcontext():
            exec(self.code, namespace)
        namespace[Assertions.NAME] = assertions
        with switch:
            exec(self.test, namespace)


class _Surroundings:
    """While it is open: output is caught, the stack has room for the recorder, and an alarm rings at the timeout."""

    def __init__(self, recorder, output, timeout):
        self.recorder, self.output, self.timeout = recorder, output, timeout

    def __enter__(self):
        self.stdout, sys.stdout = sys.stdout, self.output
        self.depth = sys.getrecursionlimit()
        sys.setrecursionlimit(self.depth + RESERVE)
        if self.timeout:
            signal.signal(signal.SIGALRM, lambda *_: self.recorder.stop("seconds"))
            signal.setitimer(signal.ITIMER_REAL, self.timeout, 0.1)  # again and again: a program may catch it

    def __exit__(self, *_):
        if self.timeout:
            signal.setitimer(signal.ITIMER_REAL, 0)
        sys.stdout = self.stdout
        sys.setrecursionlimit(self.depth)


def _failure(error, assertions, limit):
    if error is not assertions.error:
        return dict(exception=describe_exception(error, limit))
    return dict(outcome="failed", got=assertions.got, expected=assertions.expected, test_line=assertions.line)


class Output(io.StringIO):
    """Where the program prints; it may close this without harm. fresh: whether there is text not taken yet."""

    fresh, _end = False, 0

    @property
    def buffer(self):
        """Where the program writes bytes."""
        return _Bytes(self)

    def reconfigure(self, **_):
        """Text stays text here, whatever encoding the program would like."""

    def write(self, text):
        self.fresh = True
        return super().write(text)

    def taken(self):
        """What was printed since the last time."""
        start, self._end, self.fresh = self._end, self.tell(), False
        self.seek(start)
        return self.read()

    def close(self):
        pass


class _Bytes(io.RawIOBase):
    """The bytes below an Output: what is written becomes text of it."""

    def __init__(self, output):
        self.output = output

    def writable(self):
        return True

    def write(self, data):
        data = bytes(data)
        self.output.write(data.decode(errors="replace"))
        return len(data)

    def close(self):
        pass
