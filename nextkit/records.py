"""Records: the frozen dataclasses that flow from stage to stage, as JSON Lines and as a table.

Every stage of the method is a function from records to records. A record is stored as one line of JSON and shown as
one row of a pandas DataFrame; both conversions live here, once.

    write_jsonl(samples, "samples.jsonl")
    samples = read_jsonl("samples.jsonl", Sample)
    to_frame(samples).rationale.head()
"""

import dataclasses
import json
import os
import shutil
import uuid
from contextlib import contextmanager
from numbers import Integral
from pathlib import Path


def expect(value, kind, mend):
    """Raises TypeError where a value is of another class than `kind`. mend: what to give instead."""
    if not isinstance(value, kind):
        raise TypeError(f"{type(value).__name__} where a {kind.__name__} is wanted: {mend}")


def to_frame(records):
    """The records as a pandas DataFrame: one row a record, one column a field, in the order of the dataclass."""
    import pandas as pd

    return pd.DataFrame([{f.name: getattr(r, f.name) for f in dataclasses.fields(r)} for r in records])


def write_jsonl(records, path):
    """Write the records to `path`, one JSON object a line; the file appears whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole(path) as partial, partial.open("w", encoding="utf-8") as file:  # closed first, then moved
        for record in records:
            file.write(json.dumps(dataclasses.asdict(record), ensure_ascii=False) + "\n")


@contextmanager
def whole(path):
    """A path to write to, a file or a folder, moved to `path` at the end: what stands there is whole, or not there.

    No two writers share it, in whatever process or machine: the last to end is the one whose work stays. What a killed
    one leaves behind ends in ".partial".
    """
    path = Path(path)
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        yield partial
        if partial.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        os.replace(partial, path)
    finally:
        _remove(partial)


def append_jsonl(path, data):
    """Add a line to a file of JSON Lines, in one write; a half-written line before it stays apart from it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(data) + "\n"  # ASCII: a model may write half of a surrogate pair, which UTF-8 cannot hold
    with path.open("ab+") as file:
        if file.tell() and not _ends_a_line(file):
            line = "\n" + line
        file.write(line.encode())


def read_jsonl(path, cls):
    """The records of class `cls` stored at `path`. Raises ValueError naming the file and the line that does not fit."""
    path, records = Path(path), []
    lines = path.read_text(encoding="utf-8").split("\n")  # not splitlines: a text in JSON may hold U+2028 as it is
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            records.append(from_dict(cls, json.loads(line)))
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"{path}, line {number}: not a {cls.__name__}: {error}: write one JSON object a line, with its fields: "
                f"{_fields(cls)}"
            ) from error
    return records


def _fields(cls):
    """The names of a dataclass's fields, those that may be left out in brackets."""
    nothing = dataclasses.MISSING
    needed = [f.name for f in dataclasses.fields(cls) if f.default is nothing and f.default_factory is nothing]
    others = [f"[{f.name}]" for f in dataclasses.fields(cls) if f.name not in needed]
    return ", ".join([*needed, *others])


def parse_object(text):
    """The object in a text; {} where it is not, or not yet, whole."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def from_dict(cls, fields):
    """A `cls` from a plain dict as JSON gives it back: lists become tuples where the dataclass has tuples."""
    if not isinstance(fields, dict):
        raise ValueError(f"expected a JSON object, found {type(fields).__name__}")
    return cls(**{name: _tuples(value) if isinstance(value, list) else value for name, value in fields.items()})


def check_whole(name, value, *, least):
    """Raises ValueError where a setting is no whole number, or below `least`."""
    if not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} is {value!r}: give a whole number of at least {least}")


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _tuples(value):
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _ends_a_line(file):
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"
