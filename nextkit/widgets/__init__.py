"""Widgets: looking at traces and rationales. State in Python, a thin view.

Each works from Python alone (`w.step = 3`), and shows a static picture of its state where no front end is.
"""

from nextkit.widgets.rationale_rater import RationaleRater
from nextkit.widgets.rationale_reviewer import RationaleReviewer
from nextkit.widgets.run_monitor import RunMonitor
from nextkit.widgets.trace_inspector import TraceInspector

__all__ = ["RationaleRater", "RationaleReviewer", "RunMonitor", "TraceInspector"]
