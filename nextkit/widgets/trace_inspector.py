"""TraceInspector: a program's run, to be walked through step by step.

The program stands there with its NExT comments; beside it the variables, the calls and the output of the moment. Two
axes lead through it: the steps of the run, and the visits of the line where it is.

    TraceInspector(found)               # opens where the run failed
    inspector.step = 12                 # settable, and follows what is done in the view
    inspector.variables, inspector.frames, inspector.output
    TraceInspector(found, repaired)     # two runs of one test, side by side where they part

What is shown has caps, MAX_STEPS, MAX_VALUE and MAX_BYTES; the widget says what they cut. Python's own answers
(`variables`, ...) hold the values uncut.
"""

import ast
import itertools
import re
from dataclasses import replace

import traitlets

from nextkit.naturalize import _ambiguous, _commentable, naturalize, shorten
from nextkit.widgets.base import Widget, as_script

MAX_STEPS = 120_000  # of a run; the middle of a longer one is left out
MAX_VALUE = 400  # characters a value
MAX_BYTES = 2_600_000  # of all that is shown; where it is more, values and then steps are cut further
COMMENT_VALUE = 32  # characters a value in a comment: naturalize's default
NUMBER = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?")
LETTERS = dict(call="c", line="l", exception="x", **{"return": "r", "yield": "y"})
CUTS = dict(
    steps="stopped at the cap of {executed} steps",
    seconds="stopped at the time limit",
    middle="{kept} of {executed} steps were kept: the first ones, the last of each line, and the end",
    values="too big values were not written",
    bytes="values were shortened",
    depth="steps after the stack was used up are incomplete",
    memory="ran out of memory",
    killed="its process ended: what came before is all there is",
)


class TraceInspector(Widget):
    """Shows one Trace, or a buggy and a fixed program's Traces on the same test side by side.

    step: position in the trace's steps, brought into their range; it opens at the failure. step_fixed: the same of the
    second trace. together: whether stepping one steps both; they open where they first differ. playing, speed: whether
    the view moves on by itself, and how many steps a second. watched: variable whose values are drawn over the steps,
    as "total" or "total in f"; one that never holds a number is refused, see `error`.
    Raises ValueError for a trace without steps.
    """

    view = "trace_inspector"
    step = traitlets.Int(0).tag(sync=True)
    step_fixed = traitlets.Int(0).tag(sync=True)
    together = traitlets.Bool(False).tag(sync=True)
    playing = traitlets.Bool(False).tag(sync=True)
    speed = traitlets.Float(4.0, min=0.1, max=10_000.0).tag(sync=True)
    watched = traitlets.Unicode("").tag(sync=True)

    def __init__(self, trace, fixed=None):
        traces = [trace] if fixed is None else [trace, fixed]
        for each in traces:
            if not each.steps:
                raise ValueError(
                    f"the trace of task {each.task_id!r} has no steps to show: its outcome is {each.outcome!r}"
                )
        shown, runs = zip(*(_fitted(each, MAX_BYTES // len(traces)) for each in traces), strict=True)
        self.trace, self.fixed = shown if fixed is not None else (*shown, None)
        parting = divergence(*shown) if fixed is not None else None
        opened = parting or tuple(failure(each) for each in shown)
        super().__init__(
            payload=dict(runs=list(runs), aligned=list(opened), parted=parting is not None),
            together=fixed is not None,
            step=opened[0],
            step_fixed=opened[-1],
        )

    @traitlets.validate("step", "step_fixed")
    def _within(self, proposal):
        trace = self.trace if proposal["trait"].name == "step" else self.fixed
        return min(max(0, proposal["value"]), len(trace.steps) - 1) if trace else 0

    @traitlets.observe("step")
    def _lead(self, _):
        """The second run follows, unless it is ahead or behind because the first one is at its end or beginning."""
        if not (self.fixed and self.together):
            return
        here, there = self.payload["aligned"]
        following = self.step + there - here
        ahead = self.step == len(self.trace.steps) - 1 and self.step_fixed >= following
        behind = self.step == 0 and self.step_fixed <= following
        if not (ahead or behind):
            self.step_fixed = following

    @traitlets.validate("watched")
    def _drawable(self, proposal):
        name, _, function = proposal["value"].rpartition(" in ")
        name, function = (name, function) if name else (proposal["value"], "")
        traces = [trace for trace in (self.trace, self.fixed) if trace]
        known = not name or any(_is_ever_number(trace, name, function) for trace in traces)
        self.error = "" if known else f"{proposal['value']} never holds a number: there is nothing to draw"
        return proposal["value"] if known else ""

    @property
    def variables(self):
        """name -> literal of the variables of the current frame's function, as known at the current step."""
        return variables_at(self.trace, self.step)

    @property
    def frames(self):
        """Pairs (function, line) of the calls that are open at the current step, the outermost first."""
        return [(step.function, step.line) for step in frames_at(self.trace, self.step)]

    @property
    def output(self):
        """What was printed up to and with the current step."""
        return "".join(step.output for step in self.trace.steps[: self.step + 1])

    @property
    def line(self):
        """The line of the current step. Set: goes to the next visit of that line, from the last one to the first."""
        return self.trace.steps[self.step].line

    @line.setter
    def line(self, line):
        visits = self._visits(line)
        if not visits:
            raise ValueError(f"line {line} never ran: the lines that did are {sorted(self._lines())}")
        self.step = next((visit for visit in visits if visit > self.step), visits[0])

    @property
    def visit(self):
        """Which visit of its line the current step is, from 1. Set: goes to that one, or the nearest there is."""
        return self._visits(self.line).index(self.step) + 1

    @visit.setter
    def visit(self, visit):
        visits = self._visits(self.line)
        self.step = visits[min(max(1, visit), len(visits)) - 1]

    @property
    def visits(self):
        """How often the line of the current step was visited."""
        return len(self._visits(self.line))

    def _visits(self, line):
        return [position for position, step in enumerate(self.trace.steps) if step.line == line]

    def _lines(self):
        return {step.line for step in self.trace.steps}

    def text(self):
        """The program with its comments, and the current step with its variables; of both runs, where there are two."""
        runs = [(self.trace, self.step)] + ([(self.fixed, self.step_fixed)] if self.fixed else [])
        return "\n\n".join(_as_text(trace, position) for trace, position in runs)


def variables_at(trace, position):
    """name -> literal of the variables of one step's frame, as told up to that step.

    A value that is told anew makes what was told before of its parts old.
    """
    current, told, clock = trace.steps[position], {}, itertools.count()
    for step in trace.steps[: position + 1]:
        if (step.function, step.depth) == (current.function, current.depth):
            told = {} if step.event == "call" else told
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
    """Position of the step that raised what ended the run, else of the last step."""
    last = len(trace.steps) - 1
    raised = (p for p in range(last, -1, -1) if trace.steps[p].event == "exception")
    return next(raised, last) if trace.outcome == "error" else last


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


def columns(trace, max_value=MAX_VALUE):
    """A trace as the view reads it: columns over the steps, and each text once; plain data."""
    texts, steps = _Texts(), trace.steps
    changes = [(p, path, shorten(value, max_value)) for p, s in enumerate(steps) for path, value in s.changes]
    ends = [(p, s) for p, s in enumerate(steps) if s.event in ("return", "yield", "exception")]
    printed = [(p, s.output) for p, s in enumerate(steps) if s.output]
    calls = list(dict.fromkeys((s.function, s.depth) for s in steps))
    return dict(
        **_surroundings(trace),
        lines=[s.line for s in steps],
        events="".join(LETTERS[s.event] for s in steps),
        calls=calls,
        call=_lengths(_numbers(steps, calls)),
        index=_jumps([s.index for s in steps]),
        changed=_distances([p for p, _, _ in changes]),
        paths=[texts.number(path) for _, path, _ in changes],
        values=[texts.number(value) for _, _, value in changes],
        ends=[[p, texts.number(shorten(s.value, max_value)), texts.number(s.where)] for p, s in ends],
        ambiguous=_doubtful(trace),
        printed=[[p, *map(texts.number, (shorten(out, max_value), _as_printed(out)))] for p, out in printed],
        texts=list(texts),
    )


class _Texts(dict):
    """Texts in the order in which they were first met; number() tells their place."""

    def number(self, text):
        return self.setdefault(text, len(self))


def _surroundings(trace):
    """What does not depend on the steps' number: program, test with its outcome, and what there is to say about it."""
    test = trace.test.strip().split("\n")
    noted = naturalize(replace(trace, steps=()), style="outcome").split("\n")[-len(test) :]
    places = {line: place for line, place in _commentable(trace.program).items() if line != place}
    kept = dict(executed=f"{trace.executed:,}", kept=f"{len(trace.steps):,}")
    return dict(
        task=trace.task_id,
        outcome=trace.outcome,
        program=trace.program,
        test=[[line, comment[len(line) :].removeprefix("  # ")] for line, comment in zip(test, noted, strict=True)],
        places=places,
        never=never_ran(trace),
        notes=[CUTS.get(cut, cut).format(**kept) for cut in trace.truncated],
    )


def _fitted(trace, room):
    """(the trace as it can be shown, its columns): values, then the middle of the steps, are cut until all fits."""
    for count, max_value in _ever_less(len(trace.steps)):
        shown = trace if count == len(trace.steps) else _without_middle(trace, count)
        run = columns(shown, max_value)
        run["notes"] += _own_cuts(trace, shown, max_value)
        if len(as_script(run).encode()) <= room or count <= 2:
            return shown, run


def _ever_less(count):
    count = min(count, MAX_STEPS)
    yield from ((count, max_value) for max_value in (MAX_VALUE, 100, COMMENT_VALUE))
    while count > 2:
        count //= 2
        yield count, COMMENT_VALUE


def _without_middle(trace, count):
    steps = trace.steps
    return replace(trace, steps=steps[: count - count // 2] + steps[len(steps) - count // 2 :])


def _own_cuts(trace, shown, max_value):
    notes = []
    if shown is not trace:
        notes.append(f"shown are the first and the last of its steps, {len(shown.steps):,} of {len(trace.steps):,}")
    if any(len(value) > max_value for step in shown.steps for _, value in step.changes):
        notes.append(f"values are shown with {max_value} characters at most")
    return notes


def _doubtful(trace):
    """Positions of exceptions whose expression a comment must name; asked once for all that are alike."""
    alike = {}
    for position, step in enumerate(trace.steps):
        if step.event == "exception":
            alike.setdefault((step.line, step.where, step.value), []).append(position)
    named = _ambiguous(replace(trace, steps=tuple(trace.steps[group[0]] for group in alike.values())))
    return sorted(p for group in alike.values() if trace.steps[group[0]].index in named for p in group)


def _as_printed(output):
    return shorten(repr(output.removesuffix("\n")), COMMENT_VALUE)


def _numbers(steps, calls):
    number = {call: n for n, call in enumerate(calls)}
    return [number[step.function, step.depth] for step in steps]


def _lengths(column):
    """[value, how often in a row, value, ...]"""
    return [part for value, group in itertools.groupby(column) for part in (value, len(list(group)))]


def _jumps(column):
    """[position, value, ...] where a column does not go on counting."""
    counts = ((p, value) for p, value in enumerate(column) if p == 0 or value != column[p - 1] + 1)
    return [part for pair in counts for part in pair]


def _distances(column):
    return [value - before for before, value in itertools.pairwise([0, *column])]


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


def _is_ever_number(trace, name, function):
    changes = (pair for step in trace.steps if function in ("", step.function) for pair in step.changes)
    return any(path == name and NUMBER.fullmatch(value) for path, value in changes)


def _as_text(trace, position):
    step = trace.steps[position]
    told = "".join(f"\n  {name} = {value}" for name, value in variables_at(trace, position).items())
    where = f"step {position} of {len(trace.steps) - 1}: line {step.line} of {step.function}"
    return f"{naturalize(trace)}\n\n{where}{f', {step.event} {step.value}' if step.value else ''}{told}"
