"""RationaleReviewer: read what models wrote: why the program is wrong, the fix as a diff, and what the tests said.

    RationaleReviewer(task, samples, verdicts)
    RationaleReviewer(task, samples, verdicts, trace=found, others=(tuned, verdicts_tuned))   # base and tuned
    RationaleReviewer.of_run(tasks, samples, verdicts, traces=traces)                         # one list a task

With a trace, what a rationale claims is checked (`nextkit.grounding.claims`) and marked in it. Only the page that is read is
worked out, so that a run of many thousand samples opens at once; an exported file holds at most MAX_EXPORTED of them.
"""

from collections import Counter
from collections.abc import Mapping

import traitlets

from nextkit.widgets.base import Widget
from nextkit.widgets.sample_view import SIGNS, sample_view, task_view

MAX_EXPORTED = 400  # samples in an exported file
DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"  # stand for statuses in the payload


class RationaleReviewer(Widget):
    """Shows the samples of a task, or of each task of a list, with their verdicts.

    task, samples, verdicts: a task with its samples and one verdict each; or a list of tasks with a list of both for
    each. trace: what the model saw (one a task), by which claims are checked. others: (samples, verdicts) of another
    model on the same tasks, or a dict of such pairs by label; labels: of the first and the other. inspector: a
    TraceInspector of the trace, moved to the step of a claim that is clicked.

    Settable: task_index; status and label, which samples are shown ("all" for every one); index, which of those shown;
    other: number, among all of the task's, of a sample to compare it with, or None; step: of the claim last clicked.
    Raises ValueError when samples and verdicts differ in length or there are none.
    """

    view = "rationale_reviewer"
    task_index = traitlets.Int(0).tag(sync=True)
    status = traitlets.Unicode("all").tag(sync=True)
    label = traitlets.Unicode("all").tag(sync=True)
    index = traitlets.Int(0).tag(sync=True)
    other = traitlets.Int(None, allow_none=True).tag(sync=True)
    step = traitlets.Int(None, allow_none=True).tag(sync=True)
    content = traitlets.Dict().tag(sync=True)

    def __init__(self, task, samples, verdicts, *, trace=None, others=None, labels=("base", "tuned"), inspector=None):
        if not isinstance(task, list | tuple):
            others = _per_task(others)
            task, samples, verdicts, trace = [task], [samples], [verdicts], [trace]
        self.tasks, self.traces = list(task), trace or [None] * len(task)
        self.labels, self._rows = _rows(self.tasks, _sources(samples, verdicts, others, labels))
        if len(self.traces) != len(self.tasks):
            raise ValueError(
                f"{len(self.tasks)} tasks and {len(self.traces)} traces: give one a task, None where there is none"
            )
        self.inspector = inspector
        super().__init__(payload=self._payload(range(len(self.tasks))))
        self._turn()

    @classmethod
    def of_run(cls, tasks, samples, verdicts, traces=None, **options):
        """A reviewer of many tasks: one list of samples, one of verdicts and one trace for each."""
        return cls(list(tasks), samples, verdicts, trace=traces, **options)

    @property
    def task(self):
        """The task that is shown."""
        return self.tasks[self.task_index]

    @property
    def samples(self):
        """All samples of the task that is shown."""
        return [sample for _, sample, _ in self._rows[self.task_index]]

    @property
    def verdicts(self):
        """Their verdicts."""
        return [verdict for _, _, verdict in self._rows[self.task_index]]

    @property
    def shown(self):
        """Pairs (Sample, Verdict) of the task that pass the filters."""
        row = self._rows[self.task_index]
        return [row[number][1:] for number in self._numbers(self.task_index)]

    @property
    def number(self):
        """Place among all of the task's samples of the one that is shown, or None where none passes the filters."""
        numbers = self._numbers(self.task_index)
        return numbers[self.index] if numbers else None

    def text(self):
        """The sample that is shown, as plain text."""
        if self.number is None:
            return f"task {self.task.task_id}: no sample passes the filters"
        label, sample, verdict = self._rows[self.task_index][self.number]
        head = f"task {self.task.task_id} · sample #{self.number} of {len(self.samples)} {label}".rstrip()
        rows = sample_view(self.task, sample, verdict)["diff"]
        fix = ["".join((sign, " ", *parts)) for sign, *parts in rows] or ["the buggy program, unchanged"]
        said = " ".join(filter(None, (SIGNS.get(verdict.status, "·"), verdict.status, verdict.message)))
        return "\n".join([head, said, "", sample.rationale or "no rationale", "", *(fix if sample.fix else ["no fix"])])

    def state(self):
        """What an exported file shows: all traits, and the samples nearest to the one shown that pass the filters."""
        kept = self._nearest()[:MAX_EXPORTED]
        tasks = sorted({place for place, _ in kept})
        payload = self._payload(tasks) | dict(kept=self._kept(kept, tasks), held=len(kept))
        return super().state() | dict(payload=payload, content={}, task_index=tasks.index(self.task_index))

    @traitlets.validate("task_index")
    def _a_task(self, proposal):
        return min(max(0, proposal["value"]), len(self.tasks) - 1)

    @traitlets.validate("index")
    def _within(self, proposal):
        return min(max(0, proposal["value"]), max(0, len(self._numbers(self.task_index)) - 1))

    @traitlets.observe("task_index")
    def _turned(self, _):
        self.other = None
        self._filtered(_)

    @traitlets.observe("status", "label")
    def _filtered(self, _):
        self.index = 0
        self._turn()

    @traitlets.observe("index", "other")
    def _turn(self, _=None):
        """Work out the page that is shown now."""
        if not self.payload:
            return
        self.error, self.step = self._problem(), None
        place, count = self.task_index, len(self.samples)
        numbers = [number for number in (self.number, self.other) if number is not None and 0 <= number < count]
        self.content = self._kept([(place, number) for number in numbers], [place])

    @traitlets.observe("step")
    def _inspect(self, _):
        if self.inspector is None or self.step is None:
            return
        places = [place for place, step in enumerate(self.inspector.trace.steps) if step.index == self.step]
        if places:
            self.inspector.step = places[0]

    def _problem(self):
        statuses = [name for name, *_ in self.payload["statuses"]]
        if self.status not in ("all", *statuses):
            return f"no sample has the status {self.status!r}: there are {', '.join(statuses)}"
        if self.label not in ("all", *self.labels):
            return f"no sample has the label {self.label!r}: there are {', '.join(self.labels) or 'none'}"
        if self.other is not None and not 0 <= self.other < len(self.samples):
            return f"task {self.task.task_id!r} has no sample {self.other}: it has {len(self.samples)}, counted from 0"
        return ""

    def _numbers(self, place):
        """Which samples of a task pass the filters."""
        return [
            number
            for number, (label, _, verdict) in enumerate(self._rows[place])
            if self.status in ("all", verdict.status) and self.label in ("all", label)
        ]

    def _nearest(self):
        """(task, number) of every sample: those that pass the filters first, and of these the nearest first."""
        here, number = self.task_index, self.number or 0
        near, far = [(here, number)], []
        for place in sorted(range(len(self.tasks)), key=lambda place: abs(place - here)):
            passing = set(self._numbers(place))
            for other in sorted(range(len(self._rows[place])), key=lambda other: abs(other - number)):
                (near if other in passing else far).append((place, other))
        return list(dict.fromkeys(near + far))

    def _payload(self, places):
        """The light index of all samples: a digit each, which stands for its status; labels are parted by "|"."""
        counts = Counter(verdict.status for row in self._rows for *_, verdict in row)
        statuses = sorted(counts, key=lambda status: ([*SIGNS, status].index(status), status))
        digits = {status: DIGITS[min(n, len(DIGITS) - 1)] for n, status in enumerate(statuses)}
        names = self.labels or [""]
        tasks = [
            [self.tasks[place].task_id, "|".join(_digits(self._rows[place], name, digits) for name in names)]
            for place in places
        ]
        return dict(
            labels=self.labels,
            statuses=[[status, SIGNS.get(status, "·"), counts[status]] for status in statuses],
            tasks=tasks,
            total=sum(counts.values()),
        )

    def _kept(self, wanted, tasks):
        """Pages as data: views of tasks, of samples by "place in tasks/number", and the prompts that they refer to."""
        samples, prompts, places = {}, {}, {place: n for n, place in enumerate(tasks)}
        for place, number in wanted:
            _, sample, verdict = self._rows[place][number]
            view = sample_view(self.tasks[place], sample, verdict, self.traces[place])
            view["prompt"] = prompts.setdefault(sample.prompt, len(prompts))
            samples[f"{places[place]}/{number}"] = view
        return dict(tasks=[self._task_view(place) for place in tasks], samples=samples, prompts=list(prompts))

    def _task_view(self, place):
        rows = [(name, [v for label, _, v in self._rows[place] if label == name]) for name in self.labels or [""]]
        return task_view(self.tasks[place], rows)


def _per_task(others):
    """What was given for one task, as it is given for a list of one."""
    if isinstance(others, Mapping):
        return {label: _per_task(pair) for label, pair in others.items()}
    return others and tuple([part] for part in others)


def _sources(samples, verdicts, others, labels):
    """label -> (samples, verdicts), one list a task each."""
    if others is None:
        return {"": (samples, verdicts)}
    others = others if isinstance(others, Mapping) else {labels[1]: others}
    return {labels[0]: (samples, verdicts)} | dict(others)


def _rows(tasks, sources):
    """The labels, and for each task its list of (label, Sample, Verdict)."""
    rows = [[] for _ in tasks]
    for label, (samples, verdicts) in sources.items():
        _check(tasks, samples, verdicts)
        for row, some, judged in zip(rows, samples, verdicts, strict=True):
            row += [(label, sample, verdict) for sample, verdict in zip(some, judged, strict=True)]
    return [label for label in sources if label], rows


def _check(tasks, samples, verdicts):
    if not tasks or not len(tasks) == len(samples) == len(verdicts):
        raise ValueError(
            f"{len(tasks)} tasks, {len(samples)} lists of samples and {len(verdicts)} of verdicts: "
            "give one of each a task"
        )
    for task, some, judged in zip(tasks, samples, verdicts, strict=True):
        if len(some) != len(judged) or not some:
            raise ValueError(
                f"task {task.task_id!r}: {len(some)} samples and {len(judged)} verdicts: give one verdict a sample, "
                "and at least one"
            )


def _digits(row, name, digits):
    return "".join(digits[verdict.status] for label, _, verdict in row if label == name)
