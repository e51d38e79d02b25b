"""TraceInspector: step through a trace, with the program, its comments and the variables of the moment."""

import html

import ipywidgets as widgets
import traitlets

from nextkit.naturalize import naturalize

PRE = "font-family:var(--jp-code-font-family,monospace);font-size:13px;line-height:1.5;white-space:pre;overflow-x:auto"
CURRENT = "background:rgba(0,114,178,.18);border-left:3px solid #0072B2;padding-left:5px;margin-left:-8px"


class TraceInspector(widgets.VBox):
    """Shows one Trace. step: the current step (an int, settable); it opens at the last one, where things went wrong.

    Raises ValueError for a trace without steps.
    """

    step = traitlets.Int(0)

    def __init__(self, trace):
        if not trace.steps:
            raise ValueError(
                f"the trace of task {trace.task_id!r} has no steps to show: its outcome is {trace.outcome!r}"
            )
        self.trace, last = trace, len(trace.steps) - 1
        self._slider = widgets.IntSlider(max=last, description="step", layout=widgets.Layout(width="60%"))
        self._play = widgets.Play(max=last, interval=400, show_repeat=False)
        self._view = widgets.HTML()
        super().__init__([widgets.HBox([self._play, self._slider]), self._view])
        traitlets.link((self, "step"), (self._slider, "value"))
        widgets.jslink((self._play, "value"), (self._slider, "value"))
        self.step = last
        self._view.value = self.page()

    @traitlets.validate("step")
    def _within(self, proposal):
        return min(max(0, proposal["value"]), len(self.trace.steps) - 1)

    @traitlets.observe("step")
    def _redraw(self, _):
        self._view.value = self.page()

    @property
    def variables(self):
        """name -> literal of the variables of the current frame's function, as known at the current step."""
        current = self.trace.steps[self.step]
        known = {}
        for step in self.trace.steps[: self.step + 1]:
            if (step.function, step.depth) == (current.function, current.depth):
                known = {} if step.event == "call" else known
                for path, value in step.changes:  # a value that is told anew makes what was told of its parts old
                    known = {n: v for n, v in known.items() if not n.startswith((f"{path}[", f"{path}."))}
                    known[path] = value
        return known

    def page(self):
        """The current state as HTML: program with comments, current line marked, variables and outcome below."""
        current = self.trace.steps[self.step]
        changed = dict(current.changes)
        rows = "".join(_variable(name, value, name in changed) for name, value in self.variables.items())
        ends = f" &rarr; {html.escape(current.event)} {html.escape(current.value)}" if current.value else ""
        where = f"step {self.step} of {len(self.trace.steps) - 1} &middot; {html.escape(current.function)}, line {current.line}{ends}"
        return f"<div style='margin:4px 0'>{where}</div><div style='{PRE}'>{self._program(current.line)}</div><table>{rows}</table>"

    def _program(self, line):
        offset = len(self.trace.program) - len(self.trace.program.lstrip("\n"))
        texts = naturalize(self.trace).splitlines()
        return "".join(
            f"<div style='{CURRENT if number + offset == line else ''}'>{_code(text)}</div>"
            for number, text in enumerate(texts, 1)
        )

    def _repr_html_(self):
        return self.page()


def _code(text):
    """A line with its trace comment in italics."""
    code, mark, comment = text.partition("  # ")
    shown = html.escape(code) or "&nbsp;"
    return f"{shown}<i style='opacity:.75'>{html.escape(mark + comment)}</i>" if mark else shown


def _variable(name, value, changed):
    mark = "<b>changed</b>" if changed else ""
    cell = "padding:0 12px 0 0;text-align:left;font-family:var(--jp-code-font-family,monospace)"
    return f"<tr><td style='{cell}'>{html.escape(name)}</td><td style='{cell}'>{html.escape(value)}</td><td style='{cell}'>{mark}</td></tr>"
