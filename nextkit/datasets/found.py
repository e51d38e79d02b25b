"""Found: what each problem gave, as records, and kept on disk for as long as a build runs."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass, field, replace

from nextkit.records import append_jsonl, from_dict


@dataclass(frozen=True)
class Bug:
    """One buggy program. source: "sample" or "mutate". operators: kinds of its edits. status: of its verdict."""

    program: str
    source: str
    operators: tuple[str, ...]
    status: str


@dataclass(frozen=True)
class Found:
    """What one problem gave. left_out: the reference's status where it does not pass its own tests, else "".

    oracle: "exact", or "equal" where the reference passes by Python's == only. hidden: challenge tests that the
    reference passes. bugs: at most as many as were wanted. refused: how many programs were not taken, by reason.
    exhausted: whether there is no use in wanting more.
    """

    number: int
    wanted: int
    left_out: str = ""
    oracle: str = "exact"
    hidden: tuple[str, ...] = ()
    bugs: tuple[Bug, ...] = ()
    refused: dict = field(default_factory=dict)
    exhausted: bool = False


class FoundStore:
    """What was found so far, in a file of `folder` that is named after all it depends on: `key`, plain data.

    One JSON line a problem, there as soon as it was found; a line that an interruption cut short does not count.
    """

    def __init__(self, folder, key):
        digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:10]
        self.path = folder / f"unfinished-{digest}.jsonl"
        folder.mkdir(parents=True, exist_ok=True)
        self.path.touch()
        written = self.path.read_bytes()
        whole = written[: written.rfind(b"\n") + 1]
        os.truncate(self.path, len(whole))
        found = [_found(json.loads(line)) for line in whole.splitlines()]
        self.found = {(one.number, one.wanted): one for one in found}

    def get(self, number, wanted):
        """The Found of this problem that was asked for as many bugs, or None."""
        return self.found.get((number, wanted))

    def add(self, found):
        """Store a Found, and return it."""
        append_jsonl(self.path, asdict(found))
        return found

    def remove(self):
        """Delete the file: the build has ended."""
        self.path.unlink()


def _found(fields):
    found = from_dict(Found, fields)
    return replace(found, bugs=tuple(from_dict(Bug, bug) for bug in found.bugs))
