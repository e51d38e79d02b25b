"""Tracing: what a program does while its test runs (e in the method).

A trace is the list of steps that a program takes on one test. A step is one executed line: the variables that it
changed, what it returned or raised. Candidate and buggy programs run in the sandbox's child, never in this process.

    found = trace(task)           # the first test that the buggy program does not pass
    found.outcome, found.got, found.expected
    to_frame(found.steps)
"""

import functools
from dataclasses import dataclass

from nextkit.parallel import check_either, in_order
from nextkit.records import expect
from nextkit.sandbox import default_sandbox
from nextkit.tasks import RepairTask
from nextkit.tracer import rows, run_traced


@dataclass(frozen=True)
class Step:
    """One executed line, or the entry into a function.

    index: its place in the order of execution, from 0. line: 1-based line of the program, the first of a statement
    over several. function: whose frame. depth: 1 for the function that the test calls. changes: pairs (path, literal)
    of what it changed: a variable `x`, an attribute `self.v`, an element `table[2][3]` of a container too long to be
    written whole. event: "call", "line", "return", "yield" or "exception". value: the literal returned or yielded, or
    "Type: message" raised. where: source of the expression that raised. output: what the step printed. frame: a
    number that the steps of one call share, and no others: two generators of one function are two frames.
    """

    index: int
    line: int
    function: str
    depth: int
    changes: tuple[tuple[str, str], ...]
    event: str
    value: str = ""
    where: str = ""
    output: str = ""
    frame: int = 0


@dataclass(frozen=True)
class Trace:
    """The steps of `program` on `test`, and how it ended.

    outcome: "passed", "failed", "error" (raised, see exception) or "timeout" (a cap on steps or seconds was reached).
    got, expected: literals of the two sides of the assertion that failed, which stands on line test_line of the test
    (from 1). stdout: what was printed. executed: steps that ran, also those that are not kept. truncated: what the
    caps cut off: "steps", "seconds" (the program was stopped), "middle" (steps after the first `keep` that are not the
    last of their line), "values" (too big a value), "bytes" (values shortened), "depth" (lost track in a recursion
    that used up the stack), "memory", "killed" (what the program did before its process ended is all there is).
    """

    task_id: str
    program: str
    test: str
    steps: tuple[Step, ...]
    outcome: str
    got: str = ""
    expected: str = ""
    exception: str = ""
    stdout: str = ""
    test_line: int = 0
    executed: int = 0
    truncated: tuple[str, ...] = ()

    def _repr_mimebundle_(self, **options):
        """In a notebook, a trace shows itself as a TraceInspector."""
        from nextkit.widgets import TraceInspector

        if not self.steps:
            return {"text/plain": repr(self)}
        return TraceInspector(self)._repr_mimebundle_(**options)


def trace(task, executor=None, *, program=None, test=None, max_steps=10_000, keep=1000, timeout=2.0, sandbox=None):
    """The Trace of a task's buggy program (or of `program`) on its shown tests, run in the sandbox.

    test: which one, counted from 0, or its source, or several such as (0, 2), which run one after the other until one
    fails; by default the first that does not pass, else the first. max_steps: executed lines after which the program is stopped.
    keep: first steps that are kept; of later ones each line's last, and the end. timeout: seconds. executor: a
    concurrent.futures executor to run on instead of the local sandbox; its workers start a sandbox each.
    Raises ValueError for a test that the task does not have, a limit that is not above 0, and for a sandbox beside an
    executor; TypeError for what is no RepairTask.
    """
    expect(task, RepairTask, "a program and its tests make one; for a list of tasks there is trace_all")
    limits = dict(max_steps=max_steps, keep=keep, timeout=timeout)
    for name, limit in limits.items():
        if not limit > 0:
            raise ValueError(f"{name} is {limit!r}: give more than 0")
    check_either(executor, sandbox)
    if executor is not None:
        return executor.submit(trace, task, program=program, test=test, **limits).result()
    sandbox = sandbox or default_sandbox()
    program = task.buggy if program is None else program
    first, how = None, dict(setup=task.setup, oracle=task.oracle, tolerance=task.tolerance) | limits
    for source in _chosen(task, test):
        found = _record(task.task_id, program, source, sandbox.trace(program=program, test=source, **how))
        if found.outcome != "passed":
            return found
        first = first or found
    return first


def trace_all(tasks, executor=None, *, sandbox=None, **options):
    """The Traces of many tasks, in order, with a progress bar; the options are those of `trace`."""
    check_either(executor, sandbox)
    sandbox = None if executor is not None else sandbox or default_sandbox()
    work, workers = functools.partial(trace, sandbox=sandbox, **options), sandbox and sandbox.workers
    return in_order(work, tasks, workers=workers, desc="tracing", unit="task", executor=executor)


def trace_in_process(program, test, *, task_id="", **limits):
    """The Trace of a program that is trusted (made by our own generator), run in this process: fast, not contained."""
    found = run_traced(program, test, **limits)
    return _record(task_id, program, test, found | dict(steps=rows(found["steps"])))


def _chosen(task, test):
    """The tests to run, each on its own: all by default, one, or several as one."""
    if test is None:
        return task.tests
    if isinstance(test, str):
        return [test]
    numbers = [test] if isinstance(test, int) else list(test)
    for number in numbers:
        if not -len(task.tests) <= number < len(task.tests):
            raise ValueError(f"task {task.task_id!r} has no test {number}: it shows {len(task.tests)}, counted from 0")
    return ["\n".join(task.tests[number] for number in numbers)]


def _record(task_id, program, test, result):
    steps = tuple(
        Step(index, line, function, depth, tuple(map(tuple, changes)), *rest)
        for index, line, function, depth, changes, *rest in result["steps"]
    )
    rest = {name: value for name, value in result.items() if name not in ("steps", "truncated")}
    return Trace(task_id, program, test, steps, truncated=tuple(result["truncated"]), **rest)
