"""RunMonitor: how a run is doing, read from its folder, also while another process writes it.

    monitor = RunMonitor("runs/mine")       # or a Run
    monitor.follow = True                   # reads again every two seconds, until it is closed

What is shown is `nextkit.monitoring.status`.
"""

import threading
from pathlib import Path

import traitlets

from nextkit.monitoring import status, summary
from nextkit.widgets.base import Widget


class RunMonitor(Widget):
    """A live view of a run folder: stages, what is worked on, tunings with their loss, pass@k, and time.

    run: a Run or a path. seconds: between two readings while `follow` is set.
    Settable: follow; shown (which tuning's loss is drawn, -1 for the last). `payload` holds what `status` returns. What
    cannot be read is told in `error`.
    """

    view = "run_monitor"
    follow = traitlets.Bool(False).tag(sync=True)
    seconds = traitlets.Float(2.0, min=0.2).tag(sync=True)
    shown = traitlets.Int(-1).tag(sync=True)
    read = traitlets.Float(0.0).tag(sync=True)
    asked = traitlets.Int(0).tag(sync=True)  # the view counts it up to have the folder read

    def __init__(self, run, seconds=2.0):
        self.folder, self._stop = Path(getattr(run, "folder", run)), threading.Event()
        super().__init__(seconds=seconds)
        self.refresh()

    def refresh(self):
        """Read the folder again; what goes wrong is told in `error`, and what was shown stays."""
        try:
            found = status(self.folder)
        except Exception as error:  # whatever stands in the folder, a notebook must not break over it
            self.error = str(error) or type(error).__name__
        else:
            self.error, self.read, self.payload = "", found.pop("read"), found

    def close(self):
        self.follow = False
        super().close()

    def text(self):
        if self.error or not self.payload:
            return self.error or "not read yet"
        return "\n".join(summary(self.payload | dict(read=self.read)))

    @traitlets.observe("follow")
    def _follow(self, _):
        self._stop.set()
        if self.follow:
            self._stop = threading.Event()
            threading.Thread(target=self._poll, args=(self._stop,), daemon=True, name="nextkit run monitor").start()

    def _poll(self, stop):
        while not stop.wait(self.seconds):
            self.refresh()

    @traitlets.observe("asked")
    def _read_again(self, _):
        self.refresh()
