"""RationaleReviewer: read the samples of a task: rationale, fix as a diff, and what the tests said."""

import difflib
import html

import ipywidgets as widgets
import traitlets

from nextkit.widgets.trace_inspector import PRE

COLORS = {"+": "rgba(0,158,115,.18)", "-": "rgba(213,94,0,.18)"}


class RationaleReviewer(widgets.VBox):
    """Shows the samples of one task with their verdicts.

    status: only samples with this verdict ("all" for every one). index: which of them; both settable.
    Raises ValueError when samples and verdicts differ in length or there are none.
    """

    index = traitlets.Int(0)
    status = traitlets.Unicode("all")

    def __init__(self, task, samples, verdicts):
        if len(samples) != len(verdicts) or not samples:
            raise ValueError(
                f"task {task.task_id!r}: {len(samples)} samples and {len(verdicts)} verdicts: give one verdict a sample, and at least one"
            )
        self.task, self.samples, self.verdicts = task, list(samples), list(verdicts)
        self._filter = widgets.Dropdown(options=["all", *sorted({v.status for v in verdicts})], description="verdict")
        self._slider = widgets.IntSlider(max=len(samples) - 1, description="sample")
        self._view = widgets.HTML()
        super().__init__([widgets.HBox([self._filter, self._slider]), self._view])
        traitlets.link((self, "status"), (self._filter, "value"))
        traitlets.link((self, "index"), (self._slider, "value"))
        self._view.value = self.page()

    @property
    def shown(self):
        """Pairs (Sample, Verdict) that pass the filter."""
        pairs = zip(self.samples, self.verdicts, strict=True)
        return [(s, v) for s, v in pairs if self.status in ("all", v.status)]

    @traitlets.validate("index")
    def _within(self, proposal):
        return min(max(0, proposal["value"]), max(0, len(self.shown) - 1))

    @traitlets.observe("status")
    def _filtered(self, _):
        self.index = 0
        self._slider.max = max(0, len(self.shown) - 1)
        self._view.value = self.page()

    @traitlets.observe("index")
    def _redraw(self, _):
        self._view.value = self.page()

    def page(self):
        """The current sample as HTML."""
        if not self.shown:
            return "no sample has this verdict"
        sample, verdict = self.shown[self.index]
        head = f"<b>{html.escape(verdict.status)}</b> {html.escape(verdict.message)}"
        counts = f"sample {self.index + 1} of {len(self.shown)} &middot; {sample.tokens} tokens &middot; {html.escape(sample.finish)}"
        rationale = f"<p style='max-width:46em'>{html.escape(sample.rationale) or '<i>no rationale</i>'}</p>"
        return f"<div>{counts} &middot; {head}</div>{rationale}<div style='{PRE}'>{self._diff(sample.fix)}</div>"

    def _diff(self, fix):
        before, after = self.task.buggy.strip("\n").splitlines(), fix.splitlines()
        if before == after:
            return "<i>the buggy program, unchanged</i>"
        lines = [line for line in difflib.ndiff(before, after) if line[0] != "?"]
        return "".join(
            f"<div style='background:{COLORS.get(line[0], 'none')}'>{html.escape(line)}</div>" for line in lines
        )

    def _repr_html_(self):
        return self.page()
