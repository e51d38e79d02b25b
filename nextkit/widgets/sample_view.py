"""A sample as plain data: its rationale with claims marked, its fix as a diff, its verdict, what was read as what.

The data is what a view draws; nothing of it is HTML. Texts are cut at MAX_TEXT characters and programs at MAX_LINES
lines, and say so.
"""

import difflib
import re

from nextkit.evaluation import pass_at_k
from nextkit.grounding.claims import check_claims
from nextkit.grounding.evidence import history

MAX_TEXT, MAX_LINES = 20_000, 600
CUT = "\n[cut here: {left:,} more characters]"
MOST_MARKS = 12  # signs in a row; more are counted
KS = (1, 8)
SIGNS = dict(passed="✓", failed="✗", error="!", timeout="∞", killed="†", unparseable="?")
_TOKEN = re.compile(r"\w+|\s+|[^\w\s]")


def task_view(task, rows):
    """A task as data: id, description, and for each (label, verdicts) the number that passed and pass@k."""
    return dict(id=task.task_id, description=_cut(task.description), rates=[_rates(*row) for row in rows if row[1]])


def sample_view(task, sample, verdict, trace=None):
    """A sample with its Verdict as data; with the trace of the buggy program, its claims are checked."""
    claims = check_claims(sample.rationale, trace, sample.fix) if trace else []
    claims = [claim for claim in claims if claim.end <= MAX_TEXT]
    return dict(
        verdict=_verdict(task, verdict),
        tokens=sample.tokens,
        finish=sample.finish,
        rationale=_marked(_cut(sample.rationale), claims),
        claims=[
            dict(text=claim.text, kind=claim.kind, holds=claim.holds, step=claim.step, seen=_seen(claim, trace))
            for claim in claims
        ],
        checked=trace is not None,
        diff=diff(task.buggy, sample.fix),
        empty=not sample.fix.strip(),
        wrote=extraction(sample),
    )


def diff(buggy, fix):
    """Rows (sign, start, part that differs, rest) of a diff in the manner of unified ones; [] where nothing differs."""
    before, after = (program.strip("\n").splitlines()[:MAX_LINES] for program in (buggy, fix))
    if before == after:
        return []
    rows = []
    for tag, *ends in difflib.SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        old, new = before[ends[0] : ends[1]], after[ends[2] : ends[3]]
        rows += [(" ", line, "", "") for line in old] if tag == "equal" else _replaced(old, new)
    return rows


def extraction(sample):
    """Parts (kind, text) of the completion: "rationale" and "fix" as they were read out of it, "" for the rest."""
    text, rationale, fix = sample.text, sample.rationale, sample.fix
    start = text.find(rationale) if rationale else -1
    after = start + len(rationale) if start >= 0 else 0
    begin = text.find(fix, after) if fix else -1
    spans = [("rationale", start, after)] if start >= 0 else []
    spans += [("fix", begin, begin + len(fix))] if begin >= 0 else []
    parts, place = [], 0
    for kind, start, end in spans:
        parts += [("", text[place:start]), (kind, text[start:end])]
        place = end
    return [(kind, _cut(part)) for kind, part in [*parts, ("", text[place:])] if part]


def _cut(text):
    return text if len(text) <= MAX_TEXT else text[:MAX_TEXT] + CUT.format(left=len(text) - MAX_TEXT)


def _rates(label, verdicts):
    n, passed = len(verdicts), sum(verdict.status == "passed" for verdict in verdicts)
    return dict(label=label, n=n, passed=passed, at=[(k, pass_at_k(n, passed, k)) for k in KS if k <= n])


def _verdict(task, verdict):
    tests = (*task.tests, *task.hidden_tests)
    known = 0 <= verdict.test < len(tests) and verdict.status != "passed"
    return dict(
        status=verdict.status,
        sign=SIGNS.get(verdict.status, "·"),
        number=verdict.test if known else None,
        test=_cut(tests[verdict.test]) if known else "",
        marks=_marks(task, verdict) if known else "",
        hidden=known and verdict.test >= len(task.tests),
        got=_cut(verdict.got),
        expected=_cut(verdict.expected),
        message=_cut(verdict.message),
        how=verdict.how,
    )


def _marks(task, verdict):
    """A sign for each test: those before the one that decided passed, those after it were not looked at."""
    hidden = verdict.test >= len(task.tests)
    after = len(task.tests) + hidden * len(task.hidden_tests) - verdict.test - 1
    parts = ("✓", verdict.test), (SIGNS.get(verdict.status, "·"), 1), ("·", after)
    return " ".join(sign * count if count <= MOST_MARKS else f"{count} {sign}" for sign, count in parts if count)


def _marked(text, claims):
    """The text in parts (text, number of the claim or None)."""
    parts, place = [], 0
    for number, claim in enumerate(claims):
        parts += [(text[place : claim.start], None), (claim.text, number)]
        place = claim.end
    return [part for part in [*parts, (text[place:], None)] if part[0]]


def _seen(claim, trace):
    """What the trace shows where a claim was looked up, in words."""
    step = next((step for step in trace.steps if step.index == claim.step), None)
    if claim.kind == "edit":
        return {True: "the fix is exactly this edit", False: "the fix is not exactly this edit", None: ""}[claim.holds]
    if claim.holds is None:
        return "the trace does not show it"
    if claim.kind == "line":
        return f"line {step.line} runs: {sum(s.line == step.line for s in trace.steps)}" if step else "it never runs"
    if step is None:
        return f"got {trace.got}, expected {trace.expected}" if trace.outcome == "failed" else _ended(trace)
    return f"({step.index}) line {step.line}: {_state(step) or _so_far(claim.text, step, trace)}"


def _ended(trace):
    return f"the run: {trace.exception or trace.outcome}"


def _so_far(said, step, trace):
    """The value, at a step that does not change it, of the variable that is spoken of."""
    names = {name for step in trace.steps for name, _ in step.changes}
    name = next((word for word in re.findall(r"[\w.]+", said) if word in names), None)
    values = [literal for _, literal in history(trace, name, step.index)] if name else []
    return _brief(f"{name}={values[-1]}") if values else "changes nothing"


def _state(step):
    parts = [f"{name}={value}" for name, value in step.changes]
    parts += [f"{step.event} {step.value}"] if step.event in ("return", "yield") else []
    parts += [step.value] if step.event == "exception" else []
    return _brief("; ".join(parts))


def _brief(text, limit=160):
    return text if len(text) <= limit else text[:limit] + "..."


def _replaced(old, new):
    if len(old) != len(new):
        return [("-", line, "", "") for line in old] + [("+", line, "", "") for line in new]
    pairs = [_pair(one, other) for one, other in zip(old, new, strict=True)]
    return [("-", *one) for one, _ in pairs] + [("+", *other) for _, other in pairs]


def _pair(one, other):
    """Two lines, each in what they begin with alike, what differs, and what they end with alike; by whole tokens."""
    a, b = _TOKEN.findall(one), _TOKEN.findall(other)
    head = _alike(a, b)
    tail = _alike(a[head:][::-1], b[head:][::-1])
    return tuple(("".join(x[:head]), "".join(x[head : len(x) - tail]), "".join(x[len(x) - tail :])) for x in (a, b))


def _alike(a, b):
    return next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
