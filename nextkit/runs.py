"""Runs: a folder in which every stage of a long computation is kept, so that nothing is done twice and nothing is lost.

A stage has a name and parameters; its folder is named after both. What it makes appears there whole or not at all, so
a run that was killed goes on where it stopped, and a run with other parameters never reads another's results.

    run = Run("runs/mine")
    samples = run.records("samples", dict(round=1, n=16), lambda: sampler.sample(...), Sample)
    verdicts = run.parts("verdicts", dict(round=1), tasks, judge_some, Verdict, 250)

What happens is told in events.jsonl as it happens, for `nextkit.monitoring` and whoever wants to know: that work began
and how it ended, which stage was begun and with how many items, what was stored and how long it took.
"""

import dataclasses
import hashlib
import json
import os
import socket
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from nextkit.records import append_jsonl, from_dict, parse_object, whole


class Run:
    """A run folder; made when it does not exist. control: what the events are about, where one run compares several.

    Raises ValueError where no such folder can be made.
    """

    def __init__(self, folder, control=""):
        self.folder, self.control, self._at_work = Path(folder), control, False
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            cause = f"{error.strerror}: {str(error.filename)!r}"
            raise ValueError(f"no run can be kept in {str(folder)!r} ({cause}): give another folder") from error

    def of(self, control):
        """The same run, whose events name this control."""
        run = Run(self.folder, control)
        run._at_work = self._at_work
        return run

    @contextmanager
    def working(self, **plan):
        """Tell in the events that work begins, with its plan, and how it ends; work within work tells nothing."""
        if self._at_work:
            yield
            return
        self._at_work = True
        self.log(work="begun", process=os.getpid(), host=socket.gethostname(), **plan)
        try:
            yield
        except BaseException as error:
            self.log(work="stopped", why=f"{type(error).__name__}: {error}".removesuffix(": "))
            raise
        else:
            self.log(work="ended")
        finally:
            self._at_work = False

    def stage(self, name, parameters):
        """The folder of a stage, made on the way: `name-` and a hash of the parameters, which stand in parameters.json."""
        text = json.dumps(parameters, sort_keys=True, default=_plain)
        folder = self.folder / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"
        folder.mkdir(exist_ok=True)
        if not (folder / "parameters.json").exists():
            with whole(folder / "parameters.json") as partial_file:
                partial_file.write_text(text)
        return folder

    def records(self, name, parameters, make, cls):
        """What make() returns, records of `cls` one list a task, stored; read back if this stage was done before."""
        path = self.stage(name, parameters) / "records.jsonl"
        if path.exists():
            self._tell_of([path])
        else:
            self.begin(path.parent)
        return self._stored(path, make, cls)

    def parts(self, name, parameters, items, make, cls, size):
        """make(items, number) for `size` items at a time, each part stored when it is done; all rows, in order.

        make: returns a list of records of `cls` for each item; number counts the parts from 0.
        """
        folder = self.stage(name, parameters | dict(part=size))
        parts = [items[start : start + size] for start in range(0, len(items), size)]
        paths = [folder / f"part-{number:04}.jsonl" for number in range(len(parts))]
        self._tell_of(path for path in paths if path.exists())
        if not all(path.exists() for path in paths):
            self.begin(folder, items=len(items))
        made = enumerate(zip(paths, parts, strict=True))
        return sum((self._stored(path, partial(make, part, number), cls) for number, (path, part) in made), [])

    def begin(self, folder, **about):
        """Tell in the events that a stage is begun."""
        self.log(stage=_name(folder), folder=folder.name, **about)

    def _stored(self, path, make, cls):
        if not path.exists():
            started = time.monotonic()
            rows = make()
            with whole(path) as partial_file, partial_file.open("w", encoding="utf-8") as file:
                for row in rows:
                    file.write(json.dumps([dataclasses.asdict(record) for record in row]) + "\n")
            self.stored(path, seconds=round(time.monotonic() - started, 1), rows=len(rows))
        return [[from_dict(cls, fields) for fields in row] for row in _rows(path)]

    def _tell_of(self, paths):
        """Tell of those files of which no event does: a process was ended between the one and the other."""
        for path in self.unlogged(paths):
            self.stored(path, seconds=0.0, rows=len(path.read_text(encoding="utf-8").splitlines()))

    def unlogged(self, paths):
        """Those of the files of stages that no event tells of."""
        if paths := list(paths):
            told = {(event.get("folder"), event.get("file")) for event in self.events()}
            paths = [path for path in paths if (path.parent.name, path.name) not in told]
        return paths

    def stored(self, path, *, seconds, **about):
        """Tell in the events that a file of a stage is there."""
        self.log(stage=_name(path.parent), folder=path.parent.name, file=path.name, seconds=seconds, **about)

    def log(self, **event):
        """Append an event, with the time, to events.jsonl."""
        event |= dict(control=self.control) if self.control else {}
        append_jsonl(self.folder / "events.jsonl", dict(time=round(time.time(), 1)) | event)

    def events(self):
        """All events so far, oldest first."""
        return read_events(self.folder)


def read_events(folder):
    """The events told in a run folder, oldest first; a line that is not whole, or not yet, is left out."""
    path = Path(folder) / "events.jsonl"
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n") if path.exists() else []
    return [event for event in map(parse_object, lines) if "time" in event]


def digest(records):
    """A short hash of records, to stand for them among a stage's parameters."""
    total = hashlib.sha256()
    for record in records:  # one by one: all samples of a large run are gigabytes of text
        total.update(json.dumps(dataclasses.asdict(record), sort_keys=True).encode() + b"\n")
    return total.hexdigest()[:16]


def _rows(path):
    """The rows of a stored part. Raises ValueError naming the file where one is not whole."""
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            raise ValueError(
                f"{path}, line {number} is not whole ({error}): delete the file, and this part is computed anew"
            ) from None
    return rows


def _name(folder):
    """The name of a stage, from its folder's, which ends in a hash."""
    return folder.name.rpartition("-")[0]


def _plain(value):
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) else str(value)
