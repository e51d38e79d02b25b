"""Columns: what the recorder has seen, step by step, and how it is written down.

Flat lists: a record for each step would take longer to make, and Python's garbage collector to go through, than most
lines to run. What was seen is kept as it is and written down at the end, because most of it is never shown.
"""

from nextkit.tracer.changes import differences
from nextkit.tracer.values import LITTLE, LITTLE_BELOW, render

TAIL = 40  # the last steps of a run are kept, however long it is


class Columns:
    """What is known of step n, in columns that the recorder adds to.

    `places[n]`: its line. `whose[n]`: its frame's place in `frames`. `changes`: four places in a row for each: n, path,
    earlier Shot or None, value. `ends`: n -> how it ended if not as a line: event, value, expression. `prints`: n ->
    what it printed. A frame is (its place, name, depth, number of the step in which it begins or -1, place where it
    began): a generator that goes on at another depth is told anew; None once it is forgotten.

    keep, max_value, max_bytes: see `run_traced`. truncated: the list of limits that cut something off.
    """

    def __init__(self, keep, max_value, max_bytes, truncated):
        self.keep, self.max_value, self.max_bytes, self.truncated = int(keep), max_value, max_bytes, truncated
        self.frames, self.places, self.whose, self.changes, self.ends, self.prints = [], [], [], [], {}, {}
        self._held, self._seen = (), 0  # frames that are not forgotten among the first that `forget` saw

    def forget(self, going):
        """Forget what is known of steps that are not kept; returns the numbers of those that are, in order.

        Kept are the first ones, of later ones each line's last one that had something to say, and the end. going: the
        frames that have not ended, which may have something to say yet. Lines and frames stay as numbers, 16 bytes a
        step.
        """
        going, count, late = list(going), len(self.places), {}
        for step in (*self.changes[::4], *self.prints, *self.ends):  # of recursive calls the last to end
            if step >= self.keep:
                late[self.places[step]] = step
        kept = {*late.values(), *range(min(self.keep, count)), *range(max(0, count - TAIL), count)}
        known = kept | {frame.step for frame in going}  # of these it must be known whether they have raised
        self.changes[:] = _of_steps(kept, self.changes)
        for column, steps in ((self.prints, kept), (self.ends, known)):
            for step in [step for step in column if step not in steps]:
                del column[step]
        used = {self.whose[step] for step in kept} | {frame.number for frame in going}
        held = {*self._held, *range(self._seen, len(self.frames))}
        for number in held - used:
            self.frames[number] = None
        self._held, self._seen = held & used, len(self.frames)
        return sorted(kept)

    def written(self, steps=None, since=0):
        """All steps, or these, written down; `nextkit.tracer.rows` makes a row of each step.

        The values are literals, each as long as the cap on bytes allows to all of them. since: where among the changes
        those of these steps begin.
        """
        lines, whose, frames, ends, prints = self.places, self.whose, self.frames, self.ends, self.prints
        changes = _compared(self.changes[since:] if since else self.changes)
        count = len(lines) if steps is None else len(steps)
        limit = self._room(count + len(changes) // 4 if count > 64 else count)
        if steps is not None:
            changes = _of_steps({*steps}, changes)
            lines, whose = [lines[step] for step in steps], [whose[step] for step in steps]
            frames = [frames[number] for number in dict.fromkeys(whose)]
            ends = {step: ends[step] for step in steps if step in ends}
            prints = {step: prints[step] for step in steps if step in prints}
        return {
            "frames": frames,
            "numbers": steps,
            "lines": lines,
            "whose": whose,
            "changed": changes[::4],
            "paths": changes[1::4],
            "literals": [
                repr(new) if type(new) is int and LITTLE_BELOW < new < LITTLE else render(new, limit)
                for new in changes[3::4]
            ],
            "ends": [(step, event, render(value, limit), where) for step, (event, value, where) in ends.items()],
            "prints": [*prints.items()],
        }

    def _room(self, values):
        """Characters that each of so many values may take."""
        if values * self.max_value <= self.max_bytes:
            return self.max_value
        self.truncated += [] if "bytes" in self.truncated else ["bytes"]
        return max(24, self.max_bytes // values)


def _of_steps(steps, changes):
    """Those of the changes that these steps made."""
    return [part for four in zip(*[iter(changes)] * 4, strict=True) if four[0] in steps for part in four]


def _compared(changes):
    """The changes, those in place by what is different."""
    if not any(changes[2::4]):
        return changes
    found, parts = [], iter(changes)
    for step, path, old, new in zip(parts, parts, parts, parts, strict=True):
        told = ((path, new),) if old is None else differences(path, old, new)
        for path, now in told:
            found += step, path, None, now
    return found
