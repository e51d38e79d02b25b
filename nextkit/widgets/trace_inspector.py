"""TraceInspector: a program's run, to be walked through step by step.

The program stands there with its NExT comments; beside it the variables, the calls and the output of the moment. Two
axes lead through it: the steps of the run, and the visits of the line where it is.

    TraceInspector(found)               # opens where the run failed
    inspector.step = 12                 # settable, and follows what is done in the view
    inspector.variables, inspector.frames, inspector.output
    TraceInspector(found, repaired)     # two runs of one test, side by side where they part

What is shown has caps (see `trace_view`); the widget says what they cut. Python's own answers
(`variables`, ...) hold the values uncut.
"""

import re

import traitlets

from nextkit.inspection import divergence, failure, frames_at, variables_at
from nextkit.naturalize import naturalize
from nextkit.records import expect
from nextkit.tracing import Trace
from nextkit.widgets.base import Widget
from nextkit.widgets.trace_view import MAX_BYTES, fitted

NUMBER = re.compile(r"-?\d+(\.\d+)?(e[+-]?\d+)?")


class TraceInspector(Widget):
    """Shows one Trace, or a buggy and a fixed program's Traces on the same test side by side.

    step: position in the trace's steps, brought into their range; it opens at the failure. step_fixed: the same of the
    second trace. together: whether stepping one steps both; they open where they first differ. playing, speed: whether
    the view moves on by itself, and how many steps a second. watched: variable whose values are drawn over the steps,
    as "total" or "total in f"; one that never holds a number is refused, see `error`.
    Raises ValueError for a trace without steps, TypeError for what is no Trace.
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
            expect(each, Trace, "trace(task) makes one")
            if not each.steps:
                raise ValueError(
                    f"the trace of task {each.task_id!r} has no steps to show: its outcome is {each.outcome!r}"
                )
        shown, runs = zip(*(fitted(each, MAX_BYTES // len(traces)) for each in traces), strict=True)
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


def _is_ever_number(trace, name, function):
    changes = (pair for step in trace.steps if function in ("", step.function) for pair in step.changes)
    return any(path == name and NUMBER.fullmatch(value) for path, value in changes)


def _as_text(trace, position):
    step = trace.steps[position]
    told = "".join(f"\n  {name} = {value}" for name, value in variables_at(trace, position).items())
    where = f"step {position} of {len(trace.steps) - 1}: line {step.line} of {step.function}"
    return f"{naturalize(trace)}\n\n{where}{f', {step.event} {step.value}' if step.value else ''}{told}"
