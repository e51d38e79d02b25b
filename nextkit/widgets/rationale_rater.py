"""RationaleRater: people say whether a rationale explains the bug and suggests the fix, without knowing what passed.

    rater = RationaleRater(tasks, samples, "ratings.jsonl", rater="ann", count=40)
    rater.rate(explains=4, suggests=2)      # or with the keys, in the widget

A rater's events are the state: which rationale comes next follows from them, here and in the view alike. Each event is
appended to the file as it happens, so the same path goes on where the rater stopped, and several raters may share it.
In an exported file one rates as well, and downloads the lines; `read_ratings` takes them beside the others.
"""

import random
import time
from pathlib import Path

import traitlets

from nextkit.ratings import EVENTS, QUESTIONS, SCALE, check_answers, item_id, read_events
from nextkit.records import append_jsonl
from nextkit.widgets.base import Widget

MOST_ITEMS, MOST_CHARACTERS = 300, 4000  # of a sitting, and of each text of an item


class RationaleRater(Widget):
    """Rates the rationales of samples, in an order shuffled by the seed; samples without a rationale are left out.

    samples: Samples, or lists of them, nested as you like; equal ones are rated once. path: a JSON Lines file, made when it does not exist.
    rater: who rates. count: only the first so many of that order, the same for all raters with the same seed. A rater
    who goes on keeps the seed they began with. traces: of failing tests, shown where a task has one.
    Settable: answers (question -> number, of the current item, not yet given), question (the one that digits answer),
    fix_shown. Not seen by the rater, nor sent to the view: verdicts, prompts, models.
    Raises ValueError for a sample without its task, and when there is nothing to rate or more than MOST_ITEMS.
    """

    view = "rationale_rater"
    events = traitlets.List().tag(sync=True)
    answers = traitlets.Dict().tag(sync=True)
    question = traitlets.Enum(list(QUESTIONS), default_value=next(iter(QUESTIONS))).tag(sync=True)
    fix_shown = traitlets.Bool(False).tag(sync=True)

    def __init__(self, tasks, samples, path, *, rater, seed=0, count=None, traces=()):
        if not rater:
            raise ValueError("a rating needs a rater: give rater= a name")
        self.path, self.rater = Path(path), str(rater)
        before = [event for event in read_events(self.path) if event["rater"] == self.rater]
        self.seed = before[0].get("seed", seed) if before else seed
        items = _items(tasks, samples, traces, self.seed, count)
        ids = {item["id"] for item in items}
        self._stored = [event for event in before if event["item"] in ids]
        super().__init__(payload=_payload(items, self.rater, self.seed), events=self._stored)

    @property
    def item(self):
        """What is rated now, a dict of plain text as the rater sees it; None when all is done."""
        settled = set(_settled(self.events))
        return next((item for item in self.payload["items"] if item["id"] not in settled), None)

    @property
    def done(self):
        """Whether every item was rated or skipped."""
        return self.item is None

    def rate(self, **answers):
        """Answer both questions for the current item, and go on. Raises ValueError for an answer not on SCALE."""
        self._add("rate", self.item, answers=check_answers(answers), fix_seen=self.fix_shown)

    def skip(self):
        """Go on without an answer."""
        self._add("skip", self.item)

    def undo(self):
        """Take back the last rating or skip; its item is the current one again. Nothing happens where there is none."""
        settled = _settled(self.events)
        if settled:
            self._add("undo", next(item for item in self.payload["items"] if item["id"] == settled[-1]))

    def text(self):
        items = self.payload["items"]
        head = f"{self.rater}: {len(_settled(self.events))} of {len(items)} rationales"
        if self.done:
            return f"{head}, all done"
        item, questions = self.item, " ".join(QUESTIONS.values())
        parts = [head, item["description"], item["program"], *item["tests"], f"Rationale: {item['rationale']}"]
        return "\n\n".join([*parts, f"{questions} {_scale()}"])

    @traitlets.observe("events")
    def _store(self, change):
        """Append what is new to the file; where that fails, what the file has is what counts."""
        known, events = len(self._stored), change["new"]
        if events == self._stored:
            return
        try:
            if events[:known] != self._stored:
                raise ValueError("this was behind what is stored: do it again")
            for event in events[known:]:
                append_jsonl(self.path, _whole(event, self.payload))
        except (OSError, ValueError) as error:
            self.error = f"not saved: {error}"
            self.events = list(self._stored)
        else:
            self._stored, self.error = list(events), ""

    def _add(self, event, item, **rest):
        if item is None:
            raise ValueError("everything is rated: nothing is left; undo() goes back")
        whole = dict(event=event, item=item["id"], task_id=item["task_id"], time=round(time.time(), 1)) | rest
        self.events = [*self.events, dict(rater=self.rater, seed=self.seed) | whole]
        if self.error:
            raise OSError(self.error)
        # A view does this itself: done here as well, it would wipe out what a quick rater has answered meanwhile.
        self.answers, self.fix_shown, self.question = {}, False, next(iter(QUESTIONS))


def _settled(events):
    """The items that were rated or skipped and not undone, in the order in which that happened."""
    settled = []
    for event in events:
        settled = [item for item in settled if item != event["item"]]
        if event["event"] != "undo":
            settled.append(event["item"])
    return settled


def _whole(event, payload):
    """The event, if it is one about an item that is here, by this rater; otherwise ValueError."""
    ids = {item["id"] for item in payload["items"]}
    if event.get("event") not in EVENTS or event.get("item") not in ids or event.get("rater") != payload["rater"]:
        raise ValueError(f"not an event of this widget: {event!r}")
    if event["event"] == "rate":
        check_answers(event.get("answers"))
    return event


def _payload(items, rater, seed):
    scale = [[number, words] for number, words in SCALE.items()]
    return dict(items=items, rater=rater, seed=seed, questions=[list(pair) for pair in QUESTIONS.items()], scale=scale)


def _items(tasks, samples, traces, seed, count):
    """What is rated, in the order in which it is: nothing in it tells whose it is or whether it passed."""
    tasks, traces = {task.task_id: task for task in tasks}, {trace.task_id: trace for trace in traces}
    told = {item_id(sample): sample for sample in _flat(samples) if sample.rationale.strip()}
    order = sorted(told)  # so that the seed alone decides, not the order in which they were given
    random.Random(seed).shuffle(order)
    order = order[:count]
    if not 0 < len(order) <= MOST_ITEMS:
        raise ValueError(f"{len(order)} rationales to rate: give 1 to {MOST_ITEMS} that are not empty, or a count=")
    for sample in told.values():
        if sample.task_id not in tasks:
            raise ValueError(f"task {sample.task_id!r} of a sample is not among the tasks: give it as well")
    return [_item(name, told[name], tasks[told[name].task_id], traces.get(told[name].task_id)) for name in order]


def _flat(samples):
    return sum((_flat(one) if isinstance(one, list | tuple) else [one] for one in samples), [])


def _item(name, sample, task, trace):
    tests = [_failing(trace)] if trace else list(task.tests)
    texts = dict(description=task.description, program=task.buggy.strip("\n"), rationale=sample.rationale.strip())
    texts = {key: _short(text) for key, text in (texts | dict(fix=sample.fix)).items()}
    tests = [_short(test) for test in tests[:10]]
    return dict(id=name, task_id=sample.task_id, tests=tests, failing=trace is not None) | texts


def _failing(trace):
    """The failing test, and what came out."""
    got = trace.exception or (trace.got and f"got {trace.got}") or trace.outcome
    return f"{trace.test}  # {got}"


def _short(text):
    return text if len(text) <= MOST_CHARACTERS else text[:MOST_CHARACTERS] + "\n… (cut off here)"


def _scale():
    return "(" + ", ".join(f"{number} = {words}" for number, words in SCALE.items()) + ")"
