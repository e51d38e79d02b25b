"""Runs: a folder in which every stage of a long computation is kept, so that nothing is done twice and nothing is lost.

A stage has a name and parameters; its folder is named after both. What it makes appears there whole or not at all, so
a run that was killed goes on where it stopped, and a run with other parameters never reads another's results.

    run = Run("runs/mine")
    samples = run.records("samples", dict(round=1, n=16), lambda: sampler.sample(...), Sample)
    verdicts = run.parts("verdicts", dict(round=1), tasks, judge_some, Verdict, 250)
"""

import dataclasses
import hashlib
import json
import os
import time
from functools import partial
from pathlib import Path

from nextkit.records import from_dict


class Run:
    """A run folder; made when it does not exist."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def stage(self, name, parameters):
        """The folder of a stage, made on the way: `name-` and a hash of the parameters, which stand in parameters.json."""
        text = json.dumps(parameters, sort_keys=True, default=_plain)
        folder = self.folder / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"
        folder.mkdir(exist_ok=True)
        if not (folder / "parameters.json").exists():
            (folder / "parameters.json").write_text(text)
        return folder

    def records(self, name, parameters, make, cls):
        """What make() returns, records of `cls` one list a task, stored; read back if this stage was done before."""
        return self._stored(self.stage(name, parameters) / "records.jsonl", name, make, cls)

    def parts(self, name, parameters, items, make, cls, size):
        """make(items, number) for `size` items at a time, each part stored when it is done; all rows, in order.

        make: returns a list of records of `cls` for each item; number counts the parts from 0.
        """
        folder, rows = self.stage(name, parameters | dict(part=size)), []
        for number, start in enumerate(range(0, len(items), size)):
            some = partial(make, items[start : start + size], number)
            rows += self._stored(folder / f"part-{number:04}.jsonl", name, some, cls)
        return rows

    def _stored(self, path, name, make, cls):
        if not path.exists():
            started = time.monotonic()
            rows = make()
            partial_file = path.with_suffix(".partial")
            with partial_file.open("w", encoding="utf-8") as file:
                for row in rows:
                    file.write(json.dumps([dataclasses.asdict(record) for record in row]) + "\n")
            os.replace(partial_file, path)
            self.log(stage=name, file=path.name, seconds=round(time.monotonic() - started, 1), rows=len(rows))
        lines = path.read_text(encoding="utf-8").splitlines()
        return [[from_dict(cls, fields) for fields in json.loads(line)] for line in lines]

    def log(self, **event):
        """Append an event, with the time, to events.jsonl."""
        with (self.folder / "events.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(dict(time=round(time.time(), 1)) | event) + "\n")

    def events(self):
        """All events so far, oldest first."""
        path = self.folder / "events.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def digest(records):
    """A short hash of records, to stand for them among a stage's parameters."""
    text = json.dumps([dataclasses.asdict(record) for record in records], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value):
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) else str(value)
