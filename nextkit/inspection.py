"""Inspection: a trace, seen from one of its steps.

variables_at(found, 12), frames_at(found, 12)
found.steps[failure(found)]                   # where the run went wrong
divergence(found, repaired)                   # where two runs of one test part
"""

import ast
import itertools


def variables_at(trace, position):
    """name -> literal of the variables of one step's frame, as told up to that step.

    A value that is told anew makes what was told before of its parts old.
    """
    current, told, clock = trace.steps[position], {}, itertools.count()
    for step in trace.steps[: position + 1]:
        if step.frame == current.frame:
            told |= {path: (next(clock), value) for path, value in step.changes}
    never = (-1, "")
    return {
        path: value
        for path, (when, value) in told.items()
        if all(told.get(whole, never)[0] < when for whole in _wholes(path))
    }


def frames_at(trace, position):
    """The step that each open call is at, outermost first; the last is the step itself."""
    found = [trace.steps[position]]
    for step in reversed(trace.steps[:position]):
        if step.depth < found[-1].depth:
            found.append(step)
    return found[::-1]


def failure(trace):
    """Position of the step that raised what ended the run, else of the last step. Raises ValueError without steps."""
    if not trace.steps:
        raise ValueError(
            f"the trace of {trace.task_id!r} has no steps: the run ended with {trace.exception or trace.outcome}"
        )
    last, ended = len(trace.steps) - 1, _type_of(trace.exception)
    raised = (p for p, s in enumerate(trace.steps) if s.event == "exception" and _type_of(s.value) == ended)
    return max(raised, default=last) if trace.outcome == "error" else last


def divergence(trace, other):
    """Positions of the first two steps that tell different values, in each trace; None where all are the same."""
    ends = len(trace.steps) - 1, len(other.steps) - 1
    for one, two in itertools.zip_longest(_telling(trace), _telling(other)):
        if one is None or two is None or one[1:] != two[1:]:
            return one[0] if one else ends[0], two[0] if two else ends[1]
    return None


def never_ran(trace):
    """Lines inside functions that hold a statement and that no step is at."""
    ran, silent = {step.line for step in trace.steps}, {}
    for function in ast.walk(ast.parse(trace.program)):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):  # outer statements before inner ones, which know better
                if isinstance(node, ast.stmt) and not _is_no_step(node):
                    span = range(node.lineno, node.end_lineno + 1)
                    silent |= dict.fromkeys(span, ran.isdisjoint(span))
    return sorted(line for line, is_silent in silent.items() if is_silent)


def _type_of(exception):
    return exception.partition(":")[0]


def _telling(trace):
    """(position, changes, value) of the steps that tell a value."""
    return ((p, dict(s.changes), s.value) for p, s in enumerate(trace.steps) if s.changes or s.value)


def _is_no_step(statement):
    """Whether a statement runs without a step: a docstring, or a declaration."""
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    return isinstance(statement, ast.Global | ast.Nonlocal) or (
        isinstance(statement, ast.AnnAssign) and statement.value is None
    )


def _wholes(path):
    """What a path is a part of: `a[1].b` of `a[1]` and `a`."""
    return [path[:end] for end, sign in enumerate(path) if end and sign in "[."]
