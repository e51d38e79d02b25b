"""Widgets: looking at traces and rationales. State in Python, a thin view of core ipywidgets.

Each works from Python alone (`w.step = 3`), and shows a static picture of its state where no front end is.
"""

from nextkit.widgets.rationale_reviewer import RationaleReviewer
from nextkit.widgets.trace_inspector import TraceInspector

__all__ = ["RationaleReviewer", "TraceInspector"]
