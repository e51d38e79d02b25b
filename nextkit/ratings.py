"""Ratings: what people say of rationales, whether two of them agree, and what it comes to.

Tests judge the fix; whether a rationale explains the bug only a reader can say. Raters see neither verdict nor model.
What they say is kept as JSON Lines, one line an event ("rate", "skip", "undo"), and nothing is ever taken back from the
file: what counts is found by reading it. Verdicts come in at the very end, in `summary`.

    ratings = read_ratings("ann.jsonl", "ben.jsonl")
    agreement_between(ratings, "explains")          # n, agreement, Cohen's kappa
    summary(ratings, verdicts_by_item(samples, verdicts))
"""

import hashlib
import json
import math
import warnings
from dataclasses import dataclass
from pathlib import Path

from nextkit.evaluation import interval

QUESTIONS = {"explains": "Does it explain the bug?", "suggests": "Does it suggest the fix?"}
SCALE = {1: "not at all", 2: "a little", 3: "partly", 4: "mostly", 5: "fully"}
EVENTS = ("rate", "skip", "undo")


@dataclass(frozen=True)
class Rating:
    """What one rater says of one rationale. item: see `item_id`. explains, suggests: a number of SCALE each.

    fix_seen: whether the fix was looked at before. time: seconds since 1970.
    """

    rater: str
    item: str
    task_id: str
    explains: int
    suggests: int
    fix_seen: bool = False
    time: float = 0.0


@dataclass(frozen=True)
class Agreement:
    """How far two raters agree on one question, over the n items that both rated.

    agreement: the share of equal answers. kappa: Cohen's, what exceeds chance. weighted: the same with linear weights,
    so that 4 against 5 counts less than 1 against 5. Both are nan where the two gave everything one and the same answer:
    chance would have them agree as well.
    """

    question: str
    raters: tuple[str, str]
    n: int
    agreement: float
    kappa: float
    weighted: float


def item_id(sample):
    """The name of what is rated: a hash of task, rationale and fix; it tells a reader nothing."""
    text = json.dumps([sample.task_id, sample.rationale, sample.fix])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def verdicts_by_item(samples, verdicts):
    """item -> Verdict, from samples and their verdicts in the same order; ends the blindness, so call it last."""
    return {item_id(sample): verdict for sample, verdict in zip(samples, verdicts, strict=True)}


def read_events(path):
    """All events of a file, oldest first; [] where there is no file.

    A line that was not written to its end is left out, with a warning. Raises ValueError naming a line that is whole
    but no event.
    """
    path, events = Path(path), []
    if not path.exists():
        return []
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").split("\n"), 1):
        try:
            found = json.loads(line) if line.strip() else None
        except ValueError:
            warnings.warn(f"{path}, line {number} was not written to its end, and is left out", RuntimeWarning)
            continue
        if found is not None:
            events.append(_checked(found, f"{path}, line {number}"))
    return events


def read_ratings(*paths):
    """The Ratings that count in one or more files: of each rater and item the last one, unless it was undone.

    A file that is not there holds none.
    """
    counted = {}
    for event in (event for path in paths for event in read_events(path)):
        key = event["rater"], event["item"]
        counted.pop(key, None)
        if event["event"] == "rate":
            seen, time = bool(event.get("fix_seen")), event.get("time", 0.0)
            counted[key] = Rating(*key, event.get("task_id", ""), **event["answers"], fix_seen=seen, time=time)
    return list(counted.values())


def check_answers(answers):
    """The answers, if there is a number of SCALE for each of QUESTIONS and for nothing else; otherwise ValueError."""
    if not isinstance(answers, dict) or set(answers) != set(QUESTIONS):
        raise ValueError(f"answers {answers!r}: answer {' and '.join(QUESTIONS)}, and nothing else")
    for question, answer in answers.items():
        if type(answer) is not int or answer not in SCALE:
            raise ValueError(f"{question} is {answer!r}: give a number from {min(SCALE)} to {max(SCALE)}")
    return answers


def agreement_between(ratings, question, raters=None):
    """The Agreement of two raters on a question. raters: their names; not needed where the ratings are of two.

    Raises ValueError for an unknown question, and where there are not two raters, or nothing that both rated.
    """
    if question not in QUESTIONS:
        raise ValueError(f"no question {question!r}: choose one of {', '.join(QUESTIONS)}")
    one, other = _two_raters(ratings, raters)
    theirs = [{r.item: getattr(r, question) for r in ratings if r.rater == name} for name in (one, other)]
    pairs = [(theirs[0][item], theirs[1][item]) for item in theirs[0] if item in theirs[1]]
    if not pairs:
        raise ValueError(f"{one!r} and {other!r} rated nothing in common: give both the same samples, seed and count")
    equal = sum(a == b for a, b in pairs) / len(pairs)
    measures = _kappa(pairs, lambda a, b: a != b), _kappa(pairs, lambda a, b: abs(a - b))
    return Agreement(question, (one, other), len(pairs), equal, *measures)


def summary(ratings, verdicts=None):
    """A DataFrame: for each question the mean with its 95 % interval, how many ratings, items and tasks.

    verdicts: item -> Verdict, as `verdicts_by_item` gives them; then also apart for what passed and what did not.
    An item's raters are averaged first; the interval comes from resampling tasks, since samples of a task are alike.
    Raises ValueError for a rated item without a verdict.
    """
    import pandas as pd

    groups = {"all": ratings}
    if verdicts is not None:
        groups |= {"passed": [], "failed": []}
        for rating in ratings:
            groups["passed" if _passed(rating, verdicts) else "failed"].append(rating)
    rows = [_row(question, name, group) for question in QUESTIONS for name, group in groups.items()]
    return pd.DataFrame(rows)


def _passed(rating, verdicts):
    if rating.item not in verdicts:
        raise ValueError(
            f"item {rating.item!r} of task {rating.task_id!r} has no verdict: give one for each rated sample"
        )
    return verdicts[rating.item].status == "passed"


def _row(question, name, ratings):
    by_item = {}
    for rating in ratings:
        by_item.setdefault((rating.task_id, rating.item), []).append(getattr(rating, question))
    means, tasks = [sum(answers) / len(answers) for answers in by_item.values()], [task for task, _ in by_item]
    low, high = interval(means, clusters=tasks)
    mean = sum(means) / len(means) if means else math.nan
    counts = dict(ratings=len(ratings), items=len(by_item), tasks=len(set(tasks)))
    return dict(question=question, verdict=name, mean=mean, low=low, high=high) | counts


def _kappa(pairs, distance):
    """1 - (distance seen) / (distance if the two had answered independently, each with the answers they gave)."""
    ones, others = zip(*pairs, strict=True)
    seen = sum(distance(a, b) for a, b in pairs) / len(pairs)
    chance = sum(distance(a, b) for a in ones for b in others) / len(pairs) ** 2
    return 1 - seen / chance if chance else math.nan


def _two_raters(ratings, raters):
    raters = sorted({rating.rater for rating in ratings}) if raters is None else list(raters)
    if len(set(raters)) != 2:
        raise ValueError(f"agreement is between two raters, not {len(set(raters))}: name two of them with raters=")
    return raters


def _checked(event, where):
    fits = isinstance(event, dict) and event.get("event") in EVENTS
    if not fits or not all(isinstance(event.get(name), str) and event[name] for name in ("rater", "item")):
        raise ValueError(f"{where} is no event: it needs a rater, an item, and as event one of {', '.join(EVENTS)}")
    if event["event"] == "rate":
        try:
            check_answers(event.get("answers"))
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None
    return event
