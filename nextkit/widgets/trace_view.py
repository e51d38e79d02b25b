"""A trace as plain data for a view: columns over its steps, and each text once, within caps that say what they cut."""

import itertools
from dataclasses import replace

from nextkit.inspection import never_ran
from nextkit.naturalize import ambiguous, commentable, naturalize, shorten
from nextkit.widgets.base import as_script, writable

MAX_STEPS = 120_000  # of a run; the middle of a longer one is left out
MAX_VALUE = 400  # characters a value
MAX_BYTES = 2_600_000  # of all that is shown; where it is more, values and then steps are cut further
COMMENT_VALUE = 32  # characters a value in a comment: naturalize's default
LETTERS = dict(call="c", line="l", exception="x", **{"return": "r", "yield": "y"})
CUTS = dict(
    steps="stopped at the cap of {executed} steps",
    seconds="stopped at the time limit",
    middle="{kept} of {executed} steps were kept: the first ones, the last of each line, and the end",
    values="too big values were not written",
    bytes="values were shortened",
    depth="steps after the stack was used up are incomplete",
    memory="ran out of memory",
    killed="its process ended: what came before is all there is",
)


def fitted(trace, room):
    """(the trace as it can be shown, its columns): values, then the middle of the steps, are cut until all fits."""
    for count, max_value in _ever_less(len(trace.steps)):
        shown = trace if count == len(trace.steps) else _without_middle(trace, count)
        run = columns(shown, max_value)
        run["notes"] += _own_cuts(trace, shown, max_value)
        if len(as_script(run).encode()) <= room or count <= 2:
            return shown, run


def columns(trace, max_value=MAX_VALUE):
    """A trace as the view reads it: columns over the steps, and each text once; plain data."""
    texts, steps = _Texts(), trace.steps
    changes = [(p, path, shorten(value, max_value)) for p, s in enumerate(steps) for path, value in s.changes]
    ends = [(p, s) for p, s in enumerate(steps) if s.event in ("return", "yield", "exception")]
    printed = [(p, s.output) for p, s in enumerate(steps) if s.output]
    calls, frames = _numbered((s.function, s.depth) for s in steps), _numbered(s.frame for s in steps)
    return dict(
        **_surroundings(trace),
        lines=[s.line for s in steps],
        events="".join(LETTERS[s.event] for s in steps),
        calls=[*calls],
        call=_lengths([calls[s.function, s.depth] for s in steps]),
        frame=_lengths([frames[s.frame] for s in steps]),
        index=_jumps([s.index for s in steps]),
        changed=_distances([p for p, _, _ in changes]),
        paths=[texts.number(path) for _, path, _ in changes],
        values=[texts.number(value) for _, _, value in changes],
        ends=[[p, texts.number(shorten(s.value, max_value)), texts.number(s.where)] for p, s in ends],
        ambiguous=_doubtful(trace),
        printed=[[p, *map(texts.number, (shorten(out, max_value), _as_printed(out)))] for p, out in printed],
        texts=list(texts),
    )


def _surroundings(trace):
    """What does not depend on the steps' number: program, test with its outcome, and what there is to say about it."""
    test = trace.test.strip().split("\n")
    noted = naturalize(replace(trace, steps=()), style="outcome").split("\n")[-len(test) :]
    places = {line: place for line, place in commentable(trace.program).items() if line != place}
    kept = dict(executed=f"{trace.executed:,}", kept=f"{len(trace.steps):,}")
    return dict(
        task=writable(trace.task_id),
        outcome=trace.outcome,
        program=trace.program,
        test=[
            [line, writable(comment[len(line) :].removeprefix("  # "))]
            for line, comment in zip(test, noted, strict=True)
        ],
        places=places,
        never=never_ran(trace),
        notes=[CUTS.get(cut, cut).format(**kept) for cut in trace.truncated],
    )


def _ever_less(count):
    count = min(count, MAX_STEPS)
    yield from ((count, max_value) for max_value in (MAX_VALUE, 100, COMMENT_VALUE))
    while count > 2:
        count //= 2
        yield count, COMMENT_VALUE


def _without_middle(trace, count):
    steps = trace.steps
    return replace(trace, steps=steps[: count - count // 2] + steps[len(steps) - count // 2 :])


def _own_cuts(trace, shown, max_value):
    notes = []
    if shown is not trace:
        notes.append(f"shown are the first and the last of its steps, {len(shown.steps):,} of {len(trace.steps):,}")
    if any(len(value) > max_value for step in shown.steps for _, value in step.changes):
        notes.append(f"values are shown with {max_value} characters at most")
    return notes


def _doubtful(trace):
    """Positions of exceptions whose expression a comment must name; asked once for all that are alike."""
    alike = {}
    for position, step in enumerate(trace.steps):
        if step.event == "exception":
            alike.setdefault((step.line, step.where, step.value), []).append(position)
    named = ambiguous(replace(trace, steps=tuple(trace.steps[group[0]] for group in alike.values())))
    return sorted(p for group in alike.values() if trace.steps[group[0]].index in named for p in group)


def _as_printed(output):
    return shorten(repr(output.removesuffix("\n")), COMMENT_VALUE)


def _numbered(things):
    """thing -> its number, in the order in which they were first met."""
    return {thing: number for number, thing in enumerate(dict.fromkeys(things))}


def _lengths(column):
    """[value, how often in a row, value, ...]"""
    return [part for value, group in itertools.groupby(column) for part in (value, len(list(group)))]


def _jumps(column):
    """[position, value, ...] where a column does not go on counting."""
    counts = ((p, value) for p, value in enumerate(column) if p == 0 or value != column[p - 1] + 1)
    return [part for pair in counts for part in pair]


def _distances(column):
    return [value - before for before, value in itertools.pairwise([0, *column])]


class _Texts(dict):
    """Texts in the order in which they were first met, as they can be sent; number() tells their place."""

    def number(self, text):
        return self.setdefault(writable(text), len(self))
